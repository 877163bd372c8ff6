"""Environment in which every step is unique, and readers of the steps in fragments."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from tuneexp.data.sample_batch import SampleBatch


class Stream(gymnasium.Env[np.ndarray, Any]):
    """Observation (identity, number of steps); episodes of `length` steps. A new start has a new identity.

    trap: a file; the first environment that steps while it exists removes it and hangs."""

    def __init__(self, length: int = 7, trap: str = "") -> None:
        self.observation_space = Box(0, 1e9, (2,), np.float64)
        self.action_space = Discrete(2)
        self._length, self._trap, self._identity, self._steps = length, trap, -1, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        if seed is not None:  # a new start, not the next episode
            self._identity, self._steps = int(self.np_random.integers(1, 10**9)), 0
        return self._obs(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self._trap and Path(self._trap).exists():
            Path(self._trap).unlink(missing_ok=True)
            time.sleep(1000.0)
        self._steps += 1
        return self._obs(), 1.0, False, self._steps % self._length == 0, {}

    def _obs(self) -> np.ndarray:
        return np.array([self._identity, self._steps], np.float64)


def steps_of(fragments: Iterable[SampleBatch]) -> dict[int, list[int]]:
    """identity -> the numbers of its steps in the order of the fragments, without resets."""
    found: dict[int, list[int]] = {}
    for fragment in fragments:
        assert fragment.axes == ("time", "seed", "env")
        _, n_seeds, n_envs = fragment.sizes
        for seed in range(n_seeds):
            for env in range(n_envs):
                valid = fragment["valid"][:, seed, env]
                rows = fragment["next_obs"][:, seed, env][valid].long()
                found.setdefault(int(rows[0, 0]), []).extend(rows[:, 1].tolist())
    return found
