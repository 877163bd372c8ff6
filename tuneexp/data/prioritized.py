"""Prioritized experience replay: rows are sampled with probability proportional to abs(TD error)^alpha.

Schaul et al. 2016 (arXiv:1511.05952), the proportional variant.
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
    """Replay buffer that samples row i of a seed with P(i) = p_i^alpha / sum p^alpha, p_i = abs(TD error) + eps.

    Schaul et al. 2016 (arXiv:1511.05952), eq. 1 and section 3.3. A new `alpha` applies to a row when its priority is
    next written.

    Args:
        entries: Shape and dtype of one row of each column.
        n_seeds: Number of seeds.
        capacity: Rows per seed.
        frames: Store of stacked frames. None: observations are stored whole.
        alpha: Prioritization exponent; 0 is uniform.
        eps: Added to the absolute TD error, so that no row has probability 0.
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
        self._largest = np.ones(
            n_seeds
        )  # maximum p so far, per seed: the priority of new rows, so that each is likely to be sampled soon

    @property
    def bytes_needed(self) -> int:
        """Bytes of a full buffer, including frames and priorities."""
        rows = bytes_needed(self.entries, self.n_seeds, self.capacity, self.frames)
        return rows + SumTree.bytes_needed(self.n_seeds, self.capacity)

    def add(self, columns: Mapping[str, Tensor], valid: Tensor) -> None:
        """As `ReplayBuffer.add`; new rows get the maximum priority of their seed.

        Schaul et al. 2016 (arXiv:1511.05952), algorithm 1."""
        before = self._written.copy()
        super().add(columns, valid)
        count = np.minimum(self._written - before, self.capacity)
        seed = np.repeat(np.arange(self.n_seeds), count)
        rows = self._rows_of(seed, np.arange(len(seed)) - np.repeat(count.cumsum(), count))
        self._tree.set(rows, (self._largest ** float(self.alpha))[seed])

    def _rows_of(self, seed: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Row numbers, counted from the write position: -1 is the newest row of its seed."""
        return np.asarray((self._written[seed] + age) % self.capacity + self._offset[seed])

    def sample_rows(self, n_batches: int, batch_size: int, generators: Sequence[torch.Generator]) -> Rows:
        """Sample row numbers in proportion to the priorities, stratified over the minibatch.

        The cumulative priorities of a seed are cut into B equal ranges, with one row from each; Schaul et al. 2016
        (arXiv:1511.05952), appendix B.2.1.

        Args:
            n_batches: Number of minibatches M.
            batch_size: Rows B of a minibatch.
            generators: Random generator of each seed.

        Returns:
            Row numbers, [M, S, B]; arbitrary for a seed without rows.
        """
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
        """Importance weights (N P(i))^-beta, divided by the maximum of the minibatch.

        Schaul et al. 2016 (arXiv:1511.05952), section 3.4, which leaves open the rows of the maximum. N and
        the sum of the priorities cancel.

        Args:
            rows: Row numbers, [..., S, B].
            beta: Exponent; 1 is full correction.

        Returns:
            float32 [..., S, B]; 1 for a seed without rows.
        """
        priority = self._tree.get(rows.numpy())
        least = priority.min(axis=-1, keepdims=True)
        known = priority > 0
        ratio = np.divide(least, priority, out=np.ones_like(priority), where=known)
        return torch.from_numpy((ratio ** float(beta)).astype(np.float32))

    def update_priorities(self, rows: Rows, td_error: Tensor, proceed: Tensor | None = None) -> None:
        """Set the priorities of rows to their new TD errors.

        A TD error that is not finite leaves the priority unchanged, and rows that have been removed stay removed.

        Args:
            rows: Row numbers, [S, B].
            td_error: TD errors, [S, B].
            proceed: Seeds that were updated with these rows, bool [S]. None: all.
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
        """As `ReplayBuffer.state_dict`, with priorities."""
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
