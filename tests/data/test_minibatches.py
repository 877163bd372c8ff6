"""Minibatches of ragged seeds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tuneexp.data.minibatches import gather_minibatches, minibatch_rows, valid_rows

VALID = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0]], dtype=torch.bool)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def rows_of(valid: Tensor, batch_size: int, *seeds: int) -> Tensor:
    return minibatch_rows(valid_rows(valid), valid.shape[1], batch_size, generators(*seeds))


@pytest.mark.parametrize("batch_size", [2, 3, 7])
def test_every_valid_row_appears_before_any_is_repeated(batch_size: int) -> None:
    rows = rows_of(VALID, batch_size, 0, 1, 2)
    assert rows.shape == (-(-7 // batch_size), 3, batch_size)
    for seed in range(3):
        own = VALID[seed].nonzero().squeeze(1)
        order = rows[:, seed].reshape(-1) - 7 * seed
        assert sorted(order[: own.numel()].tolist()) == own.tolist()
        assert torch.equal(order[own.numel() :], order.repeat(9)[: 9 * order.numel()][: order.numel() - own.numel()])


def test_a_reset_row_is_never_picked() -> None:
    rows = torch.cat([rows_of(VALID, 4, seed, seed + 1, seed + 2) for seed in range(20)])
    assert VALID.reshape(-1)[rows.reshape(-1)].all()


def test_a_seeds_rows_do_not_depend_on_its_neighbours() -> None:
    together, alone = rows_of(VALID, 3, 5, 6, 7), rows_of(VALID[1:2], 3, 6)
    assert torch.equal(together[:, 1] - 7, alone[:, 0])


def test_each_epoch_is_another_order() -> None:
    own, generator = valid_rows(VALID[:1]), generators(0)
    first, second = (minibatch_rows(own, 7, 7, generator) for _ in range(2))
    assert not torch.equal(first, second)


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
