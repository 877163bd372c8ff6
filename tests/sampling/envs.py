"""Environments that record how they are used."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from tuneexp.envs.env_rng import env_seed


class Clockwork(gymnasium.Env[Any, Any]):
    """Deterministic environment; actions have no effect. Observation (time, episode), reward = time.

    Episodes have 5 steps and are truncated; every third has 3 steps and is terminated."""

    observation_space = Box(-1.0, 1.0, (2,), np.float32)
    action_space = Discrete(2)

    def __init__(self) -> None:
        self.episode = -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.episode, self.time = self.episode + 1, 0
        return self._obs(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        short = self.episode % 3 == 2
        return self._obs(), float(self.time), short and self.time == 3, self.time == 5, {}

    def _obs(self) -> Any:
        return np.array([self.time / 5, (self.episode % 3) / 3], np.float32)


class Counted(Clockwork):
    """Counts the calls of all instances, and stores the observations of first steps."""

    steps: ClassVar[int] = 0

    def step(self, action: Any) -> Any:
        type(self).steps += 1
        return super().step(action)


class Poisoned(gymnasium.Env[Any, Any]):
    """Random walk. With `victim`, squares of that seed's rewards overflow float32 from step 40 on."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Discrete(2)

    def __init__(self, victim: int | None = None, everybody: bool = False) -> None:
        self.victims = {env_seed(victim, index) for index in range(2)} if victim is not None else set()
        self.everybody, self.poisoned, self.total = everybody, False, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        if seed is not None:
            self.poisoned = self.everybody or seed in self.victims
        self.time, self.position = 0, self.np_random.normal(size=3).astype(np.float32)
        return self.position, {}

    def step(self, action: Any) -> Any:
        self.time, self.total = self.time + 1, self.total + 1
        self.position = self.position + self.np_random.normal(size=3).astype(np.float32) * 0.1
        reward = 1e38 if self.poisoned and self.total > 40 else float(action)
        return self.position, reward, self.time == 7, False, {}


class Pixels(gymnasium.Env[Any, Any]):
    """Integer observations."""

    observation_space = Box(0, 255, (2, 3), np.uint8)
    action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self.np_random.integers(0, 256, (2, 3), np.uint8), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return self.np_random.integers(0, 256, (2, 3), np.uint8), 1.0, self.time == 9, False, {}


class Endless(Clockwork):
    """Episodes that never end."""

    def step(self, action: Any) -> Any:
        obs, reward, _, _, info = super().step(action)
        return obs, reward, False, False, info


class Seen(Clockwork):
    """Stores the first observation of each episode, of all instances."""

    firsts: ClassVar[list[list[float]]] = []
    observation_space = Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        gymnasium.Env.reset(self, seed=seed)
        self.time, self.episode = 0, 0
        self.start = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        type(self).firsts.append(self.start.tolist())
        return self.start, {}

    def _obs(self) -> Any:
        return self.start * (1 - self.time / 10)
