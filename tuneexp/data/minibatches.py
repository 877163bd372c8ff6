"""Minibatches for several seeds with different numbers of valid rows.

Each seed has R rows of which some are reset rows (not valid). Every minibatch holds B rows of every seed, and a mask of
the rows that count. The valid rows of a seed are distributed evenly over the minibatches of an epoch, each exactly
once, and the rest is padding. So shapes and the number of updates are constant, and the updates of a seed do not depend
on the other seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

MASK = "mask"
"""Column of a minibatch: True for rows, or steps of sequences, that count. bool [S, B] or [S, B, L]."""


def valid_rows(valid: Tensor) -> list[Tensor]:
    """Row numbers of the valid rows of each seed.

    Args:
        valid: bool [S, R].

    Returns:
        One int64 tensor per seed; row 0 for a seed without valid rows, which is not updated.
    """
    rows = [own.nonzero().squeeze(1) for own in valid]
    # A seed without valid rows is not updated; row 0 is a placeholder.
    return [own if own.numel() else torch.zeros(1, dtype=torch.long) for own in rows]


def minibatch_rows(
    rows: Sequence[Tensor], n_rows: int, batch_size: int, generators: Sequence[torch.Generator], least: int = 2
) -> tuple[Tensor, Tensor]:
    """Permute the rows of one epoch into minibatches.

    Padding repeats rows of the same seed. A seed with fewer than `least` rows per minibatch counts some rows several
    times.

    Args:
        rows: Valid rows of each seed, from `valid_rows`.
        n_rows: Rows R of a seed.
        batch_size: Rows B of a minibatch.
        generators: Random generator of each seed.
        least: Smallest number of counting rows of a minibatch.

    Returns:
        Row numbers into the flattened [S * R] rows, and the bool mask of those that count, [M, S, B] each with M =
        ceil(R / B).
    """
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


@lru_cache(maxsize=256)  # needed in every epoch; callers must not write into the result
def _shared_out(n_rows: int, n_batches: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """Positions of the rows of each minibatch among `n_rows` rows, and the mask of those that count, [M * B] each."""
    ends = torch.arange(n_batches + 1) * n_rows // n_batches
    places = ends[:-1, None] + torch.arange(batch_size)
    return (places % n_rows).flatten(), (places < ends[1:, None]).flatten()


def _repeat_to(order: Tensor, length: int) -> Tensor:
    return order.repeat(-(-length // order.numel()))[:length]


def gather_minibatches(columns: Mapping[str, Tensor], rows: Tensor) -> Iterator[dict[str, Tensor]]:
    """Read the minibatches of an epoch, with one gather per column.

    Args:
        columns: Name -> [S, R, ...].
        rows: Row numbers from `minibatch_rows`, [M, S, B].

    Yields:
        M minibatches, name -> [S, B, ...], contiguous.
    """
    n_batches, n_seeds, batch_size = rows.shape
    gathered = {}
    for name, column in columns.items():
        flat = column.reshape(-1, *column.shape[2:])
        picked = flat.index_select(0, rows.view(-1))
        gathered[name] = picked.view(n_batches, n_seeds, batch_size, *column.shape[2:])
    for index in range(n_batches):
        yield {name: column[index] for name, column in gathered.items()}
