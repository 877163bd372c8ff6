"""What the updates since the last report said, as one number a seed and statistic."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

MOST_UPDATES = 1000


class Update(NamedTuple):
    """statistics: [K, S] in the order of `names`; proceed: [S] bool, the seeds that took it."""

    names: tuple[str, ...]
    statistics: Tensor
    proceed: Tensor


class UpdateLog:
    """Keeps the statistics of the newest updates; without looking at them, which would cost more than they do."""

    def __init__(self) -> None:
        self._updates: deque[Update] = deque(maxlen=MOST_UPDATES)

    def add(self, names: Sequence[str], statistics: Tensor, proceed: Tensor) -> None:
        """statistics: [K, S] in the order of `names`; proceed: [S] bool, the seeds that took the update."""
        self._updates.append(Update(tuple(names), statistics, proceed))

    def drain(self) -> list[Update]:
        """The kept updates, oldest first; forgets them."""
        updates = [Update(names, statistics.cpu(), proceed) for names, statistics, proceed in self._updates]
        self._updates.clear()
        return updates

    def latest(self) -> tuple[dict[str, Tensor], Tensor]:
        """The newest update: its statistics, name -> [S], and which seeds took it, [S] bool."""
        names, statistics, proceed = self._updates[-1]
        return dict(zip(names, statistics, strict=True)), proceed

    def taken(self) -> Tensor:
        """[S]: how many of the kept updates each seed took."""
        return torch.stack([proceed for _, _, proceed in self._updates]).sum(0)

    def summary(self) -> dict[str, Tensor]:
        """name -> [S], the mean over each seed's applied updates (the first update's, where none was); forgets them.

        A part of a loss that isn't always due has fewer updates: its statistics are means over these."""
        by_name: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for names, proceed, values in self._of_one_program():
            for index, name in enumerate(names):
                by_name.setdefault(name, []).append((values[:, index], proceed))
        self._updates.clear()
        return {name: _mean(*(torch.cat(part) for part in zip(*kept, strict=True))) for name, kept in by_name.items()}

    def _of_one_program(self) -> list[tuple[tuple[str, ...], Tensor, Tensor]]:
        """names, proceed [U, S], values [U, K, S]: the updates of each program together."""
        groups: dict[tuple[str, ...], list[tuple[Tensor, Tensor]]] = {}
        for names, statistics, proceed in self._updates:
            groups.setdefault(names, []).append((statistics, proceed))
        stacked = []
        for names, kept in groups.items():
            statistics, proceed = (torch.stack(column) for column in zip(*kept, strict=True))
            stacked.append((names, proceed, statistics.cpu()))
        return stacked


def _mean(values: Tensor, proceed: Tensor) -> Tensor:
    """values: [U, S]; proceed: [U, S] bool. Returns [S]."""
    weight = proceed.float()
    weight[0] = torch.where(weight.sum(0) == 0, torch.ones_like(weight[0]), weight[0])
    return (values.nan_to_num() * weight).sum(0) / weight.sum(0)
