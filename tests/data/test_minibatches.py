"""Minibatches of seeds with different numbers of valid rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tuneexp.data.minibatches import gather_minibatches, minibatch_rows, valid_rows

VALID = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0]], dtype=torch.bool)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def epoch_of(valid: Tensor, batch_size: int, *seeds: int) -> tuple[Tensor, Tensor]:
    rows, counts = minibatch_rows(valid_rows(valid), valid.shape[1], batch_size, generators(*seeds))
    return rows.squeeze(0), counts


def rows_of(valid: Tensor, batch_size: int, *seeds: int) -> Tensor:
    return epoch_of(valid, batch_size, *seeds)[0]


@pytest.mark.parametrize("n_seeds", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [4, 7, 64, 400])
def test_each_valid_row_counts_once_an_epoch(n_seeds: int, batch_size: int) -> None:
    """Episodes of length 1 in the NEXT_STEP mode (every second row is a reset row), and seeds with fewer of them."""
    valid = torch.ones(n_seeds, 400, dtype=torch.bool)
    for seed in range(n_seeds):
        valid[seed, 1 :: 2 + seed] = False
    rows, counts = epoch_of(valid, batch_size, *range(n_seeds))
    assert rows.shape == counts.shape == (-(-400 // batch_size), n_seeds, batch_size)
    for seed in range(n_seeds):
        own = valid[seed].nonzero().squeeze(1) + 400 * seed
        assert torch.equal(rows[:, seed][counts[:, seed]].sort().values, own)
        each = counts[:, seed].sum(1)
        assert each.max() - each.min() <= 1
        assert each.min() >= 2


def test_a_seed_with_too_few_rows_counts_some_of_them_several_times() -> None:
    rows, counts = epoch_of(VALID, 2, 0, 1, 2)  # 7, 4 and 1 rows for 4 minibatches
    assert (counts.sum(2) == 2).all()
    for seed in range(3):
        own = set((VALID[seed].nonzero().squeeze(1) + 7 * seed).tolist())
        assert set(rows[:, seed].flatten().tolist()) == own


def test_a_reset_row_is_never_picked() -> None:
    rows = torch.cat([rows_of(VALID, 4, seed, seed + 1, seed + 2) for seed in range(20)])
    assert VALID.reshape(-1)[rows.reshape(-1)].all()


def test_a_seeds_rows_do_not_depend_on_its_neighbours() -> None:
    together, alone = rows_of(VALID, 3, 5, 6, 7), rows_of(VALID[1:2], 3, 6)
    assert torch.equal(together[:, 1] - 7, alone[:, 0])


@pytest.mark.parametrize("batch_size", [2, 7])
def test_epochs_are_drawn_one_after_the_other(batch_size: int) -> None:
    """And each is another order, also of a seed that has too few rows."""
    own, generator = valid_rows(VALID), generators(0, 1, 2)
    one_by_one = [minibatch_rows(own, 7, batch_size, generator)[0] for _ in range(3)]
    together, _ = minibatch_rows(own, 7, batch_size, generators(0, 1, 2), n_epochs=3)
    assert torch.equal(together, torch.cat(one_by_one))
    assert not torch.equal(together[0, :, 0], together[1, :, 0])


def test_a_seed_without_a_valid_row_gets_rows_all_the_same() -> None:
    rows = rows_of(torch.zeros(2, 4, dtype=torch.bool), 2, 0, 1)
    assert rows.shape == (2, 2, 2)
    assert set(rows[:, 1].reshape(-1).tolist()) == {4}


def test_columns_are_gathered_by_their_rows() -> None:
    columns = {"flat": torch.arange(21).view(3, 7), "wide": torch.randn(3, 7, 2, 5), "flag": VALID}
    rows = rows_of(VALID, 3, 0, 1, 2)
    minibatches = list(gather_minibatches(columns, rows))
    assert len(minibatches) == 3
    for index, minibatch in enumerate(minibatches):
        flat, wide, flag = (minibatch[name] for name in columns)
        assert torch.equal(flat, rows[index])
        assert torch.equal(wide, columns["wide"].reshape(21, 2, 5)[rows[index]])
        assert flag.all()
        assert flat.is_contiguous()
        assert wide.is_contiguous()
