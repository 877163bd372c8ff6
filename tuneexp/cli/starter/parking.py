"""An environment: park a cart on a mark."""

from typing import Any

import gymnasium
import numpy as np


class Parking(gymnasium.Env[Any, Any]):
    """A cart on rails that is pushed left, not at all, or right.

    The reward is minus the distance to the mark. The episode is terminated when the cart stands on the mark, and
    truncated after 100 steps."""

    def __init__(self, friction: float = 0.1) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)
        self.friction = friction

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)  # makes self.np_random, the only source of random numbers
        self.position, self.mark = self.np_random.uniform(-1.0, 1.0, size=2)
        self.speed, self.steps = 0.0, 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.speed = (1.0 - self.friction) * self.speed + 0.02 * (float(action) - 1.0)
        self.position += self.speed
        self.steps += 1
        distance = abs(self.position - self.mark)
        parked = bool(distance < 0.05 and abs(self.speed) < 0.02)
        return self._observation(), -float(distance), parked, self.steps >= 100, {}

    def _observation(self) -> Any:
        return np.array([self.position, self.speed * 10.0, self.mark - self.position], np.float32)
