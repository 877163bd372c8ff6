"""Prioritized replay: rows are drawn in proportion to how much was learned from them the last time.

Schaul et al. 2016, "Prioritized experience replay", the proportional variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuneexp.data.frames import FrameStore
from tuneexp.data.replay import Entry, ReplayBuffer, Rows, bytes_needed
from tuneexp.data.sum_tree import SumTree
from tuneexp.errors import CheckpointError


class PrioritizedReplay(ReplayBuffer):
    """A replay buffer that draws row i of a seed with P(i) = p_i^alpha / sum p^alpha (eq. 1), p_i = |td error| + eps.

    `alpha` may change between calls: a row's priority takes the new value when it is next written or updated.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        n_seeds: int,
        capacity: int,
        frames: FrameStore | None = None,
        *,
        alpha: float | Tensor = 0.6,
        eps: float = 1e-6,
    ) -> None:
        super().__init__(entries, n_seeds, capacity, frames)
        self.alpha, self.eps = alpha, eps
        self._tree = SumTree(n_seeds, capacity)
        self._largest = np.ones(n_seeds)  # of all p so far, per seed: new rows get it, so that each is seen once

    @property
    def bytes_needed(self) -> int:
        """Bytes of this buffer when it is full, frames and priorities included."""
        rows = bytes_needed(self.entries, self.n_seeds, self.capacity, self.frames)
        return rows + SumTree.bytes_needed(self.n_seeds, self.capacity)

    def add(self, columns: Mapping[str, Tensor], valid: Tensor) -> None:
        before = self._written.copy()
        super().add(columns, valid)
        count = np.minimum(self._written - before, self.capacity)
        seed = np.repeat(np.arange(self.n_seeds), count)
        rows = self._rows_of(seed, np.arange(len(seed)) - np.repeat(count.cumsum(), count))
        self._tree.set(rows, (self._largest ** float(self.alpha))[seed])

    def _rows_of(self, seed: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Row numbers, counted from the write position: -1 is the newest row of its seed."""
        return np.asarray((self._written[seed] + age) % self.capacity + self._offset[seed])

    def draw(self, n_batches: int, batch_size: int, generators: Sequence[torch.Generator]) -> Rows:
        """[M, S, B] row numbers. Each minibatch is stratified: the priorities of a seed are cut into B ranges of equal
        sum and one row is drawn of each (appendix B.2.1)."""
        drawn = [_uniform(n_batches, batch_size, generator) for generator in generators]
        share = np.stack(drawn, axis=1)  # [M, S, B] of each seed's sum
        mass = share.swapaxes(0, 1).reshape(self.n_seeds, -1) * self._tree.total[:, None]
        rows = self._tree.find(mass).reshape(self.n_seeds, n_batches, batch_size)
        return torch.from_numpy(rows).transpose(0, 1).contiguous()

    def _drop_to(self, seed: int, size: int) -> None:
        dropped = np.arange(-int(self._size[seed]), -size)
        rows = self._rows_of(np.full(len(dropped), seed), dropped)
        self._tree.set(rows, np.zeros(len(rows)))
        super()._drop_to(seed, size)

    def weights(self, rows: Rows, beta: float | Tensor) -> Tensor:
        """rows: [..., S, B]. float32 of the same shape: (N P(i))^-beta divided by the largest of its minibatch and
        seed (section 3.4), in which N and the sum of the priorities cancel. 1 for a seed that has no row."""
        priority = self._tree.get(rows.numpy())
        least = priority.min(axis=-1, keepdims=True)
        known = priority > 0
        ratio = np.divide(least, priority, out=np.ones_like(priority), where=known)
        return torch.from_numpy((ratio ** float(beta)).astype(np.float32))

    def update_priorities(self, rows: Rows, td_error: Tensor, proceed: Tensor | None = None) -> None:
        """rows, td_error: [S, B]; proceed: [S] bool, the seeds that learned from these rows (default: all).

        An error that isn't finite changes nothing: its row keeps its priority. Nor does a row that was dropped in the
        meantime come back.
        """
        numbers = rows.numpy()
        raw = np.abs(td_error.detach().cpu().numpy().astype(np.float64)) + self.eps
        old = self._tree.get(numbers)
        use = np.isfinite(raw) & (old > 0)
        if proceed is not None:
            use &= proceed.cpu().numpy()[:, None]
        raw = np.where(use, raw, 0.0)
        np.maximum(self._largest, raw.max(axis=1), out=self._largest)
        self._tree.set(numbers, np.where(use, raw ** float(self.alpha), old))

    def state_dict(self) -> dict[str, Any]:
        leaves = [own[: min(int(rows), self.capacity)] for own, rows in zip(self._tree.leaves, self._written)]
        return {
            **super().state_dict(),
            "priorities": [torch.from_numpy(own) for own in leaves],
            "largest_priority": self._largest.tolist(),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        if "priorities" not in state:
            raise CheckpointError("the stored replay buffer has no priorities: it is a uniform one")
        super()._load(state)
        leaves = np.zeros((self.n_seeds, self.capacity))
        for own, stored in zip(leaves, state["priorities"], strict=True):
            own[: len(stored)] = stored.numpy()
        self._tree.fill(leaves)
        self._largest[:] = state["largest_priority"]


def _uniform(n_batches: int, batch_size: int, generator: torch.Generator) -> np.ndarray:
    """[M, B] in [0, 1): entry b uniform within the b-th of B equal ranges."""
    drawn = torch.rand(n_batches, batch_size, dtype=torch.float64, generator=generator).numpy()
    return np.asarray((drawn + np.arange(batch_size)) / batch_size)
