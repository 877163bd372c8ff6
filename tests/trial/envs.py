"""Environment whose rewards and observations depend on the action."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary


class Sparks(gym.Env[Any, Any]):
    """Random observations, with a mask that forbids one action, or images; an episode has 12 steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self, images: bool = False, start: int = 0, strict: bool = True, render_mode: str | None = None
    ) -> None:
        view = Box(0, 255, (3, 36, 36), np.uint8) if images else Box(-np.inf, np.inf, (3,), np.float64)
        self.observation_space = Dict({"mask": MultiBinary(4), "view": view}) if not images else view
        self.action_space, self.images, self.strict = Discrete(4, start=start), images, strict and not images

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 12
        return self._obs(0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        choice = int(action) - self.action_space.start
        assert not self.strict or self.mask[choice], "a forbidden action"
        self.left -= 1
        return self._obs(choice), choice + float(self.np_random.normal()), self.left == 0, False, {}

    def render(self) -> Any:
        return np.full((31, 47, 3), 20 * self.left, np.uint8)

    def _obs(self, choice: int) -> Any:
        self.mask = np.ones(4, np.int8)
        self.mask[self.np_random.integers(4)] = 0
        if self.images:
            return self.np_random.integers(0, 256, (3, 36, 36), np.uint8) // np.uint8(1 + choice)
        return {"mask": self.mask, "view": self.np_random.normal(size=3) * 5 + choice}
