"""Environments that ask for a memory, or for obeying a mask."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Recall(gymnasium.Env[Any, Any]):
    """The first observation shows a cue, the following ones only the time. After `delay` further steps the action that
    names the cue earns 1, the other one -1, and the episode ends. Without memory the best mean return is 0."""

    def __init__(self, delay: int = 4) -> None:
        self.delay = delay
        self.observation_space = Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time, self.cue = 0, int(self.np_random.integers(2))
        return self._obs(), {}

    def step(self, action: Any) -> Any:
        last = self.time == self.delay
        reward = 0.0 if not last else 1.0 if int(action) == self.cue else -1.0
        self.time += 1
        return self._obs(), reward, last, False, {}

    def _obs(self) -> Any:
        shown = (2.0 * self.cue - 1.0) if self.time == 0 else 0.0
        return np.array([shown, self.time / (self.delay + 1)], np.float32)


class RandomLengths(gymnasium.Env[Any, Any]):
    """Episodes of 1 to 20 steps that end either way, with random observations and rewards."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left, self.terminates = int(self.np_random.integers(1, 21)), bool(self.np_random.integers(2))
        return self._obs(), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        over = self.left == 0
        return self._obs(), float(self.np_random.normal()), over and self.terminates, over and not self.terminates, {}

    def _obs(self) -> Any:
        return self.np_random.normal(size=3).astype(np.float32)
