"""An environment of your own: park a cart on a mark. PPO solves it in seconds.

python experiments/custom_environment.py
tuneexp train ppo experiments/custom_environment.py:Parking --env-steps 50000 --set env_kwargs/friction=0.2
tuneexp sweep --algorithm ppo --env experiments/custom_environment.py:Parking --name parking
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from tuneexp import Sweep, run_script, watch

Observation = NDArray[np.float32]


class Parking(gymnasium.Env[Observation, np.int64]):
    """A cart on rails that is pushed left, not at all, or right.

    The reward is minus the distance to the mark. The episode is terminated when the cart stands on the mark, and
    truncated after 100 steps."""

    def __init__(self, friction: float = 0.1) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)
        self.friction = friction

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)  # makes self.np_random, the only source of random numbers
        self.position, self.mark = self.np_random.uniform(-1.0, 1.0, size=2)
        self.speed, self.steps = 0.0, 0
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.speed = (1.0 - self.friction) * self.speed + 0.02 * (float(action) - 1.0)
        self.position += self.speed
        self.steps += 1
        distance = abs(self.position - self.mark)
        parked = bool(distance < 0.05 and abs(self.speed) < 0.02)
        return self._observation(), -float(distance), parked, self.steps >= 100, {}

    def _observation(self) -> Observation:
        return np.array([self.position, self.speed * 10.0, self.mark - self.position], np.float32)


def main(trials: int = 4, seeds: int = 4, env_steps: int = 50_000, name: str = "", storage: str = "runs") -> None:
    """Tune PPO on the custom environment. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
        env=Parking,  # the class; on the command line path/file.py:Parking
        env_kwargs={"friction": 0.1},
        space={"learning_rate": {"loguniform": [3e-4, 3e-3]}, "gamma": {"complement_loguniform": [0.9, 0.99]}},
        fixed={"n_steps": 64, "batch_size": 256, "n_epochs": 10},
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
