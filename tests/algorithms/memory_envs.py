"""Environments that need memory, or that mask actions."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete


class Recall(gymnasium.Env[Any, Any]):
    """The first observation shows a cue, the following ones only the time.

    After `delay` further steps the action that matches the cue earns 1, the other one -1, and the episode ends. Without
    memory the best mean return is 0."""

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
    """Episodes of 1 to 20 steps that are terminated or truncated, with random observations and rewards."""

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


class Forbidding(gymnasium.Env[Any, Any]):
    """A new random action mask at each step.

    An invalid action is recorded and costs 1. The lowest valid action earns 1, the others nothing."""

    taken_in_spite: ClassVar[int] = 0

    def __init__(self, n_actions: int = 8, allowed: int = 3, parts: int = 1) -> None:
        self.n_actions, self.allowed, self.parts = n_actions, allowed, parts
        self.observation_space = Box(0.0, 1.0, (1,), np.float32)
        self.action_space: Any = Discrete(n_actions) if parts == 1 else MultiDiscrete([n_actions] * parts)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self._obs(), {}

    def step(self, action: Any) -> Any:
        choices = np.ravel(action)
        obeyed = all(self.mask[part, choice] for part, choice in enumerate(choices))
        type(self).taken_in_spite += not obeyed
        best = all(int(choice) == int(self.mask[part].argmax()) for part, choice in enumerate(choices))
        self.time += 1
        return self._obs(), float(best) if obeyed else -1.0, False, self.time == 10, {}

    def action_masks(self) -> Any:
        return self.mask.ravel()

    def _obs(self) -> Any:
        self.mask = np.zeros((self.parts, self.n_actions), np.int8)
        for part in range(self.parts):
            self.mask[part, self.np_random.permutation(self.n_actions)[: self.allowed]] = 1
        return np.array([self.time / 10], np.float32)
