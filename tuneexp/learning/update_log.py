"""Metrics of the gradient updates since the last report, averaged per seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

MAX_UPDATES = 1000
TOGETHER = 32
"""Updates whose metrics are copied into one tensor. A result of a program that is kept pins the memory before it, where
the program had its intermediate results: 0.3 MB an update in PPO with 2 x 64 units."""


class Update(NamedTuple):
    """Metrics of one gradient update. metrics: [K, S] in the order of `names`; proceed: [S] bool, the updated seeds."""

    names: tuple[str, ...]
    metrics: Tensor
    proceed: Tensor


class UpdateLog:
    """Metrics of the last `MAX_UPDATES` updates. They are reduced at a report only: doing so per update is slow."""

    def __init__(self) -> None:
        self._updates: deque[Update] = deque(maxlen=MAX_UPDATES)
        self._apart = 0  # newest updates, with tensors of their own

    def add(self, names: Sequence[str], metrics: Tensor, proceed: Tensor) -> None:
        """Append an update. metrics: [K, S] in the order of `names`; proceed: [S] bool, the updated seeds."""
        self._updates.append(Update(tuple(names), metrics, proceed))
        self._apart += 1
        if self._apart == TOGETHER:
            self._join()

    def _join(self) -> None:
        """Copy the metrics of the newest updates into one tensor for each program."""
        newest = [self._updates.pop() for _ in range(self._apart)][::-1]
        rows = {
            names: zip(values.unbind(), proceed.unbind(), strict=True)
            for names, values, proceed in _of_one_program(newest)
        }
        self._updates.extend(Update(names, *next(rows[names])) for names, _, _ in newest)
        self._apart = 0

    def _clear(self) -> None:
        self._updates.clear()
        self._apart = 0

    def drain(self) -> list[Update]:
        """Return the updates, oldest first, and clear the log."""
        updates = [Update(names, metrics.cpu(), proceed) for names, metrics, proceed in self._updates]
        self._clear()
        return updates

    def latest(self) -> tuple[dict[str, Tensor], Tensor]:
        """Return the last update: its metrics, name -> [S], and the updated seeds, [S] bool."""
        names, metrics, proceed = self._updates[-1]
        return dict(zip(names, metrics, strict=True)), proceed

    def updates_per_seed(self) -> Tensor:
        """Return the number of updates of each seed, [S]."""
        return torch.stack([proceed for _, _, proceed in self._updates]).sum(0)

    def summary(self) -> dict[str, Tensor]:
        """Return each metric's mean over the updates of each seed, name -> [S], and clear the log.

        A seed without an update gets the values of the first one. A part of the loss with an update period has fewer
        updates: its metrics are means over these."""
        by_name: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for names, values, proceed in _of_one_program(self._updates):
            values = values.cpu()
            for index, name in enumerate(names):
                by_name.setdefault(name, []).append((values[:, index], proceed))
        self._clear()
        return {name: _mean(*(torch.cat(part) for part in zip(*kept, strict=True))) for name, kept in by_name.items()}


def _of_one_program(updates: Iterable[Update]) -> list[tuple[tuple[str, ...], Tensor, Tensor]]:
    """Return the updates of each program: names, values [U, K, S], proceed [U, S]."""
    groups: dict[tuple[str, ...], list[tuple[Tensor, Tensor]]] = {}
    for names, metrics, proceed in updates:
        groups.setdefault(names, []).append((metrics, proceed))
    return [
        (names, *(torch.stack(column) for column in zip(*kept, strict=True)))  # type: ignore[misc]
        for names, kept in groups.items()
    ]


def _mean(values: Tensor, proceed: Tensor) -> Tensor:
    """Return the mean of values [U, S] over the updates that proceed [U, S] marks, [S]."""
    weight = proceed.float()
    weight[0] = torch.where(weight.sum(0) == 0, torch.ones_like(weight[0]), weight[0])
    return (values.nan_to_num() * weight).sum(0) / weight.sum(0)
