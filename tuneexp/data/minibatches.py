"""Minibatches for a stack of ragged seeds.

Each seed has R rows of which some are reset rows (not valid). Every minibatch holds B rows of every
seed; a seed with fewer valid rows than minibatches need repeats its own, so its updates are the
same whether it trains alone or beside others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor


def minibatch_rows(valid: Tensor, batch_size: int, generators: Sequence[torch.Generator]) -> Tensor:
    """valid: [S, R] bool. One epoch: row numbers into the flattened [S * R] rows, [M, S, B] with
    M = ceil(R / B). Each valid row appears once before any is repeated."""
    n_seeds, n_rows = valid.shape
    n_batches = -(-n_rows // batch_size)
    wanted = n_batches * batch_size
    rows = []
    for seed, generator in enumerate(generators):
        own = valid[seed].nonzero().squeeze(1)
        if own.numel() == 0:
            own = torch.zeros(1, dtype=torch.long)  # its updates are not selected; any row will do
        order = own[torch.randperm(own.numel(), generator=generator)]
        rows.append(_repeat_to(order, wanted) + seed * n_rows)
    return torch.stack([r.view(n_batches, batch_size) for r in rows], dim=1)


def _repeat_to(order: Tensor, length: int) -> Tensor:
    if order.numel() >= length:
        return order[:length]
    return order.repeat(-(-length // order.numel()))[:length]


def gather_minibatches(columns: Mapping[str, Tensor], rows: Tensor) -> Iterator[list[Tensor]]:
    """columns: name -> [S, R, ...]; rows: [M, S, B] from `minibatch_rows`. Yields M lists of columns
    [S, B, ...], contiguous, in the order of `columns`. One gather a column and epoch, not one a minibatch."""
    n_batches, n_seeds, batch_size = rows.shape
    gathered = []
    for column in columns.values():
        flat = column.reshape(-1, *column.shape[2:])
        picked = flat.index_select(0, rows.view(-1))
        gathered.append(picked.view(n_batches, n_seeds, batch_size, *column.shape[2:]))
    for index in range(n_batches):
        yield [column[index] for column in gathered]
