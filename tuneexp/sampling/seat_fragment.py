"""Fragment of seats with different numbers of rows. Rows are compacted: a seat's next row is its next transition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch


class SeatFragment:
    """Columns [T, S, L, ...] of L seats. In T steps of the environments a seat completes at most T transitions.

    Args:
        n_steps: steps of the environments (T).
        n_seeds: number of seeds (S).
        n_seats: seats per seed (L).
    """

    def __init__(self, n_steps: int, n_seeds: int, n_seats: int) -> None:
        self.n_steps, self.steps = n_steps, 0
        self._columns: dict[str, Tensor] = {}
        self._count = torch.zeros(n_seeds, n_seats, dtype=torch.int64)

    @property
    def complete(self) -> bool:
        return self.steps == self.n_steps

    def add(self, rows: Mapping[str, Tensor], valid: Tensor) -> None:
        """Add one step.

        Args:
            rows: name -> [S, L, ...].
            valid: [S, L] bool, the seats that have a row.
        """
        for name, values in rows.items():
            if name not in self._columns:
                self._columns[name] = values.new_zeros((self.n_steps, *values.shape))
        where = valid.nonzero(as_tuple=True)
        index = (self._count[where], *where)
        for name, values in rows.items():
            self._columns[name][index] = values[where]
        self._count += valid
        self.steps += 1

    def take(self) -> SampleBatch:
        """Return the fragment, with `valid`, and start an empty one."""
        valid = torch.arange(self.n_steps).view(-1, 1, 1) < self._count
        batch = SampleBatch({**self._columns, "valid": valid}, FRAGMENT_AXES)
        self.steps, self._columns = 0, {}
        self._count.zero_()
        return batch

    def cut(self) -> None:
        """Truncate the newest row of each seat: the following rows are of other episodes."""
        if not self._columns:
            return
        where = (self._count > 0).nonzero(as_tuple=True)
        index = (self._count[where] - 1, *where)
        self._columns["truncated"][index] |= ~self._columns["terminated"][index]

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "count": self._count.clone(), "columns": dict(self._columns)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state. Raises ValueError if it is of other seats or of more steps."""
        if tuple(state["count"].shape) != tuple(self._count.shape) or int(state["steps"]) >= self.n_steps:
            raise ValueError(f"a fragment of seats {list(state['count'].shape)} after {state['steps']} steps")
        self.steps = int(state["steps"])
        self._count.copy_(state["count"])
        self._columns = {name: column.clone() for name, column in state["columns"].items()}
