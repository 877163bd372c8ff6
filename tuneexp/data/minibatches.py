"""Minibatches for a stack of ragged seeds.

Each seed has R rows of which some are reset rows (not valid). Every minibatch holds B rows of every
seed; a seed with fewer valid rows than minibatches need repeats its own, so its updates are the
same whether it trains alone or beside others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor


def valid_rows(valid: Tensor) -> list[Tensor]:
    """valid: [S, R] bool. The row numbers of each seed's valid rows."""
    rows = [own.nonzero().squeeze(1) for own in valid]
    # A seed without any is not selected for its updates; row 0 fills its place.
    return [own if own.numel() else torch.zeros(1, dtype=torch.long) for own in rows]


def minibatch_rows(
    rows: Sequence[Tensor], n_rows: int, batch_size: int, generators: Sequence[torch.Generator]
) -> Tensor:
    """rows: of each seed, from `valid_rows`; n_rows: R. One epoch: row numbers into the flattened
    [S * R] rows, [M, S, B] with M = ceil(R / B). Each valid row appears once before any is repeated."""
    n_batches = -(-n_rows // batch_size)
    wanted = n_batches * batch_size
    chosen = []
    for seed, (own, generator) in enumerate(zip(rows, generators, strict=True)):
        order = own[torch.randperm(own.numel(), generator=generator)]
        if seed:
            order += seed * n_rows
        chosen.append(_repeat_to(order, wanted).view(n_batches, 1, batch_size))
    return torch.cat(chosen, dim=1) if len(chosen) > 1 else chosen[0]


def _repeat_to(order: Tensor, length: int) -> Tensor:
    if order.numel() >= length:
        return order[:length]
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
