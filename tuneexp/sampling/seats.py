"""A fragment whose seats fill up at their own pace: rows are compacted, so that a seat's next row is its next step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch


class SeatFragment:
    """Columns [T, S, L, ...] for `n_steps` = T steps of the environments, in which a seat completes T rows at most."""

    def __init__(self, n_steps: int, n_seeds: int, n_seats: int) -> None:
        self.n_steps, self.steps = n_steps, 0
        self._columns: dict[str, Tensor] = {}
        self._count = torch.zeros(n_seeds, n_seats, dtype=torch.int64)

    @property
    def complete(self) -> bool:
        return self.steps == self.n_steps

    def add(self, rows: Mapping[str, Tensor], valid: Tensor) -> None:
        """One step. rows: name -> [S, L, ...]; valid: [S, L] bool, the seats that have a row now."""
        for name, values in rows.items():
            if name not in self._columns:
                self._columns[name] = values.new_zeros((self.n_steps, *values.shape))
        where = valid.nonzero(as_tuple=True)
        place = (self._count[where], *where)
        for name, values in rows.items():
            self._columns[name][place] = values[where]
        self._count += valid
        self.steps += 1

    def take(self) -> SampleBatch:
        """The fragment, with `valid`; the next one starts empty."""
        valid = torch.arange(self.n_steps).view(-1, 1, 1) < self._count
        batch = SampleBatch({**self._columns, "valid": valid}, FRAGMENT_AXES)
        self.steps, self._columns = 0, {}
        self._count.zero_()
        return batch

    def cut(self) -> None:
        """What follows is of other episodes: the newest row of each seat ends its trace, and bootstraps."""
        if not self._columns:
            return
        where = (self._count > 0).nonzero(as_tuple=True)
        place = (self._count[where] - 1, *where)
        self._columns["truncated"][place] |= ~self._columns["terminated"][place]

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "count": self._count.clone(), "columns": dict(self._columns)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError where the state is of other seats or another number of steps."""
        if tuple(state["count"].shape) != tuple(self._count.shape) or int(state["steps"]) >= self.n_steps:
            raise ValueError(f"a fragment of seats {list(state['count'].shape)} after {state['steps']} steps")
        self.steps = int(state["steps"])
        self._count.copy_(state["count"])
        self._columns = {name: column.clone() for name, column in state["columns"].items()}
