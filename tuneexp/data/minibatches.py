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
    rows: Sequence[Tensor],
    n_rows: int,
    batch_size: int,
    generators: Sequence[torch.Generator],
    least: int = 2,
    n_epochs: int = 1,
) -> tuple[Tensor, Tensor]:
    """Permute the rows of some epochs into minibatches.

    Padding repeats rows of the same seed. A seed with fewer than `least` rows per minibatch counts some rows several
    times.

    Args:
        rows: Valid rows of each seed, from `valid_rows`.
        n_rows: Rows R of a seed.
        batch_size: Rows B of a minibatch.
        generators: Random generator of each seed, which draws a permutation for each epoch.
        least: Smallest number of counting rows of a minibatch.
        n_epochs: Number of epochs E.

    Returns:
        Row numbers into the flattened [S * R] rows, [E, M, S, B] with M = ceil(R / B), and the bool mask of those that
        count, [M, S, B], the same in each epoch.
    """
    n_batches = -(-n_rows // batch_size)
    chosen: list[Tensor] = []
    counted: list[Tensor] = []
    for seed, (own, generator) in enumerate(zip(rows, generators, strict=True)):
        orders = own[torch.stack([torch.randperm(own.numel(), generator=generator) for _ in range(n_epochs)])]
        if seed:
            orders += seed * n_rows
        least_rows = n_batches * min(least, batch_size)
        if own.numel() < least_rows:
            orders = orders.repeat(1, -(-least_rows // own.numel()))[:, :least_rows]
        places, counts = _shared_out(orders.shape[1], n_batches, batch_size)
        chosen.append(orders.index_select(1, places).view(n_epochs, n_batches, batch_size))
        counted.append(counts.view(n_batches, batch_size))
    if len(rows) == 1:
        return chosen[0].unsqueeze(2), counted[0].unsqueeze(1)
    return torch.stack(chosen, 2), torch.stack(counted, 1)


@lru_cache(maxsize=256)  # needed for every rollout; callers must not write into the result
def _shared_out(n_rows: int, n_batches: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """Positions of the rows of each minibatch among `n_rows` rows, and the mask of those that count, [M * B] each."""
    ends = torch.arange(n_batches + 1) * n_rows // n_batches
    places = ends[:-1, None] + torch.arange(batch_size)
    return (places % n_rows).flatten(), (places < ends[1:, None]).flatten()


def gather_minibatches(columns: Mapping[str, Tensor], rows: Tensor) -> Iterator[dict[str, Tensor]]:
    """Read the minibatches of an epoch, with one gather per column.

    Args:
        columns: Name -> [S, R, ...].
        rows: Row numbers of an epoch from `minibatch_rows`, [M, S, B].

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
