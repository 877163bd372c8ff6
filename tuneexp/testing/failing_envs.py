"""Environments with overflowing rewards, for tests of the isolation of seeds."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from tuneexp.envs.env_rng import env_seed

MOST_ENVS = 256


class Overflow(gymnasium.Env[Any, Any]):
    """A random walk in episodes of 7 steps, each third of which terminates. victim: the training seed whose rewards,
    from its `calm_steps`-th step on, are beyond the squares of float32. same_spaces_as: it has the spaces of this
    environment, so programs for that one fit."""

    same_spaces_as: ClassVar[str] = "CartPole-v1"

    def __init__(self, victim: int | None = None, calm_steps: int = 10) -> None:
        reference = gymnasium.make(self.same_spaces_as)
        self.observation_space, self.action_space = reference.observation_space, reference.action_space
        reference.close()
        self._victims = set() if victim is None else {env_seed(victim, index) for index in range(MOST_ENVS)}
        self._calm_steps = calm_steps
        self._poisoned, self._total, self._episode = False, 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self._poisoned = seed in self._victims
        self._time, self._episode = 0, self._episode + 1
        self._position = self._change(0.1)
        return self._position, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._time, self._total = self._time + 1, self._total + 1
        self._position = self._position + self._change(0.01)
        poisoned = self._poisoned and self._total > self._calm_steps
        reward = 1e38 if poisoned else float(np.asarray(action).reshape(-1)[0])
        ended = self._time == 7
        return self._position, reward, ended and self._episode % 3 == 0, ended and self._episode % 3 != 0, {}

    def _change(self, scale: float) -> NDArray[np.float32]:
        """A small step: positions stay within the space."""
        size = self.observation_space.shape
        return self.np_random.uniform(-scale, scale, size=size).astype(np.float32)


class OverflowContinuous(Overflow):
    same_spaces_as = "Pendulum-v1"
