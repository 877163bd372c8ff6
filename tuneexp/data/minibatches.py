"""Minibatches for a stack of ragged seeds.

Each seed has R rows of which some are reset rows (not valid). Every minibatch holds B rows of every seed, of which a
mask says which count: the valid rows of a seed are shared out evenly over all minibatches of an epoch, each counted
once, and the rest is padding. So shapes and the number of updates never change, and the updates of a seed are the same
whether it trains alone or beside others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

MASK = "mask"
"""The column of a minibatch that says which rows, or steps of sequences, count. bool [S, B] or [S, B, L]."""


def valid_rows(valid: Tensor) -> list[Tensor]:
    """valid: [S, R] bool. The row numbers of each seed's valid rows."""
    rows = [own.nonzero().squeeze(1) for own in valid]
    # A seed without any is not selected for its updates; row 0 fills its place.
    return [own if own.numel() else torch.zeros(1, dtype=torch.long) for own in rows]


def minibatch_rows(
    rows: Sequence[Tensor], n_rows: int, batch_size: int, generators: Sequence[torch.Generator], least: int = 2
) -> tuple[Tensor, Tensor]:
    """rows: of each seed, from `valid_rows`; n_rows: R. One epoch: row numbers into the flattened [S * R] rows, and
    which of them count (bool), [M, S, B] each with M = ceil(R / B).

    Padding repeats rows of the same seed. A seed with fewer than `least` rows for each minibatch counts some of its
    rows several times."""
    n_batches = -(-n_rows // batch_size)
    chosen: list[Tensor] = []
    counted: list[Tensor] = []
    for seed, (own, generator) in enumerate(zip(rows, generators, strict=True)):
        order = own[torch.randperm(own.numel(), generator=generator)]
        if seed:
            order += seed * n_rows
        least_rows = n_batches * min(least, batch_size)
        if order.numel() < least_rows:
            order = _repeat_to(order, least_rows)
        places, counts = _shared_out(order.numel(), n_batches, batch_size)
        chosen.append(order.index_select(0, places))
        counted.append(counts)
    lead = (n_batches, len(rows), batch_size)
    if len(rows) == 1:
        return chosen[0].view(lead), counted[0].view(lead)
    shape = (n_batches, batch_size)
    return torch.stack([own.view(shape) for own in chosen], 1), torch.stack([own.view(shape) for own in counted], 1)


@lru_cache(maxsize=256)  # asked for in every epoch; nothing is written into what it gives
def _shared_out(n_rows: int, n_batches: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """Which of `n_rows` rows, in their order, are in each minibatch, and which of these count, [M * B] each."""
    ends = torch.arange(n_batches + 1) * n_rows // n_batches
    places = ends[:-1, None] + torch.arange(batch_size)
    return (places % n_rows).flatten(), (places < ends[1:, None]).flatten()


def _repeat_to(order: Tensor, length: int) -> Tensor:
    return order.repeat(-(-length // order.numel()))[:length]


def gather_minibatches(columns: Mapping[str, Tensor], rows: Tensor) -> Iterator[dict[str, Tensor]]:
    """columns: name -> [S, R, ...]; rows: [M, S, B] from `minibatch_rows`. Yields M minibatches, name ->
    [S, B, ...], contiguous. One gather a column and epoch, not one a minibatch."""
    n_batches, n_seeds, batch_size = rows.shape
    gathered = {}
    for name, column in columns.items():
        flat = column.reshape(-1, *column.shape[2:])
        picked = flat.index_select(0, rows.view(-1))
        gathered[name] = picked.view(n_batches, n_seeds, batch_size, *column.shape[2:])
    for index in range(n_batches):
        yield {name: column[index] for name, column in gathered.items()}
