"""Fragments of frame-stacking environments: episodes of random length in both autoreset modes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

K = 3
FRAME = (2, 4)


class Stacking:
    """S x N environments whose observation is the last K frames. The padding at the start of an episode varies."""

    def __init__(self, n_seeds: int, n_envs: int, mode: str, longest: int = 10, seed: int = 0) -> None:
        self.shape, self.mode, self.longest = (n_seeds, n_envs), mode, longest
        # One generator an environment, known by its seed and number: S seeds at once are S single ones.
        self.rngs = [[np.random.default_rng([seed, s, e]) for e in range(n_envs)] for s in range(n_seeds)]
        self.obs = self._for_each(self._start)
        self.left = self._for_each(self._length)
        self.resets = np.zeros(self.shape, dtype=bool)
        self.row = 0

    def _for_each(self, function: object) -> np.ndarray:
        return np.stack([np.stack([function(rng) for rng in rngs]) for rngs in self.rngs])  # type: ignore[operator]

    def _start(self, rng: np.random.Generator) -> np.ndarray:
        first = self._frame(rng)
        padding = rng.integers(3)  # black frames, the first one repeated, or whatever was seen before
        before = [np.zeros_like(first), first, self._frame(rng)][padding]
        return np.stack([before] * (K - 1) + [first])

    def _frame(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 256, FRAME, dtype=np.uint8)

    def _length(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(1, self.longest + 1)

    def fragment(self, n_steps: int) -> dict[str, Tensor]:
        """Fragment [T, S, N, ...]; `action` is the row number within each environment."""
        rows = [self._step() for _ in range(n_steps)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _step(self) -> dict[str, np.ndarray]:
        obs, next_obs = self.obs.copy(), self.obs.copy()
        valid, ended = ~self.resets, np.zeros(self.shape, dtype=bool)
        for s, rngs in enumerate(self.rngs):
            for e, rng in enumerate(rngs):
                if self.resets[s, e]:
                    next_obs[s, e] = self._restart(s, e)
                    self.obs[s, e] = next_obs[s, e]
                    continue
                next_obs[s, e] = np.concatenate([obs[s, e, 1:], self._frame(rng)[None]])
                self.obs[s, e] = next_obs[s, e]
                self.left[s, e] -= 1
                ended[s, e] = self.left[s, e] == 0
                if ended[s, e] and self.mode == "SAME_STEP":
                    self.obs[s, e] = self._restart(s, e)
        self.resets = ended & (self.mode == "NEXT_STEP")
        number = np.full(self.shape, self.row, dtype=np.int64)
        self.row += 1
        terminated = ended & (number % 2 == 0)
        return {"obs": obs, "next_obs": next_obs, "valid": valid, "action": number,
                "terminated": terminated, "truncated": ended & ~terminated}  # fmt: skip

    def _restart(self, s: int, e: int) -> np.ndarray:
        self.left[s, e] = self._length(self.rngs[s][e])
        return self._start(self.rngs[s][e])
