"""Prioritized replay: sampling frequencies, importance weights, and invalid priorities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.data.replay_rows import ENTRIES, generators, ragged, rows
from tuneexp.data.prioritized import PrioritizedReplay

NAN, INF = float("nan"), float("inf")


def full(n_seeds: int = 1, n_rows: int = 4, alpha: float | Tensor = 1.0) -> PrioritizedReplay:
    buffer = PrioritizedReplay(ENTRIES, n_seeds, n_rows, alpha=alpha, eps=0.0)
    number = torch.arange(n_seeds * n_rows).view(n_seeds, n_rows)
    buffer.add(rows(number), torch.ones_like(number, dtype=torch.bool))
    return buffer


def set_errors(buffer: PrioritizedReplay, td_error: Tensor, proceed: Tensor | None = None) -> None:
    """Set the TD error of each row. td_error: [S, C]."""
    n_seeds, capacity = td_error.shape
    buffer.update_priorities(torch.arange(n_seeds * capacity).view(n_seeds, capacity), td_error, proceed)


def priorities(buffer: PrioritizedReplay) -> Tensor:
    return torch.stack(buffer.state_dict()["priorities"])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_rows_are_drawn_in_proportion_to_their_priority(alpha: float, batch_size: int) -> None:
    buffer = full(2, 50, alpha)
    td_error = torch.rand(2, 50, generator=torch.Generator().manual_seed(3)) * 4 - 2
    set_errors(buffer, td_error)
    n_batches = 40_000 // batch_size
    drawn = buffer.sample_rows(n_batches, batch_size, generators(range(2)))
    for seed in range(2):
        share = td_error[seed].abs() ** alpha
        expected = share / share.sum() * n_batches * batch_size
        count = (drawn[:, seed].flatten() - 50 * seed).bincount(minlength=50)
        # 49 degrees of freedom: above 85.4 in one of a thousand cases; strata only make it smaller.
        assert ((count - expected) ** 2 / expected).sum() < 85.4


def test_each_minibatch_is_stratified() -> None:
    # 4 rows of equal priority and 4 ranges: each row exactly once, in every minibatch.
    drawn = full().sample_rows(20, 4, generators([0]))
    assert (drawn[:, 0] == torch.arange(4)).all()


def test_weights_by_hand() -> None:
    buffer = full()
    set_errors(buffer, torch.tensor([[1.0, 4.0, 2.0, 1.0]]))
    # P = 1/8, 1/2, 1/4, 1/8; (N P)^-beta is 2, 1/2, 1, 2 for beta = 1; by the largest of the batch: 1, 1/4, 1/2, 1.
    assert buffer.weights(torch.tensor([[0, 1, 2, 3]]), 1.0).tolist() == [[1.0, 0.25, 0.5, 1.0]]
    half = buffer.weights(torch.tensor([[0, 1, 2, 3]]), 0.5)
    torch.testing.assert_close(half, torch.tensor([[1.0, 0.5, 0.5**0.5, 1.0]]))
    # Normalised within the batch: without rows 0 and 3 the largest is row 2's.
    assert buffer.weights(torch.tensor([[1, 2, 2]]), torch.tensor(1.0)).tolist() == [[0.5, 1.0, 1.0]]
    assert buffer.weights(torch.tensor([[1, 2]]), 0.0).tolist() == [[1.0, 1.0]]


def test_weights_of_one_seed_do_not_depend_on_another() -> None:
    buffer = full(2, 2)
    set_errors(buffer, torch.tensor([[1.0, 2.0], [100.0, 400.0]]))
    weights = buffer.weights(torch.tensor([[0, 1], [2, 3]]), 1.0)
    assert weights.tolist() == [[1.0, 0.5], [1.0, 0.25]]
    assert weights.dtype == torch.float32
    several = buffer.weights(torch.tensor([[[0, 1], [2, 3]], [[1, 1], [3, 2]]]), 1.0)
    assert several.tolist() == [[[1.0, 0.5], [1.0, 0.25]], [[1.0, 1.0], [0.25, 1.0]]]


def test_priority_is_the_size_of_the_error_plus_eps_to_the_power_alpha() -> None:
    buffer = PrioritizedReplay(ENTRIES, 1, 4, alpha=0.5, eps=1.0)
    buffer.add(rows(torch.arange(4)[None]), torch.ones(1, 4, dtype=torch.bool))
    set_errors(buffer, torch.tensor([[0.0, 3.0, -8.0, 15.0]]))
    assert priorities(buffer).tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_new_rows_get_the_largest_priority_that_their_seed_has_seen() -> None:
    buffer = full(2, 4)
    assert priorities(buffer).tolist() == [[1.0] * 4, [1.0] * 4]
    set_errors(buffer, torch.tensor([[0.5, 9.0, 0.5, 0.5], [0.25] * 4]))
    set_errors(buffer, torch.tensor([[0.5] * 4, [0.25] * 4]))  # the 9 is gone, but was the largest so far
    buffer.add(rows(torch.tensor([[7], [8]])), torch.ones(2, 1, dtype=torch.bool))
    assert priorities(buffer).tolist() == [[9.0, 0.5, 0.5, 0.5], [1.0, 0.25, 0.25, 0.25]]


def test_alpha_may_change_between_calls() -> None:
    buffer = full(alpha=1.0)
    set_errors(buffer, torch.tensor([[4.0, 16.0, 1.0, 1.0]]))
    buffer.alpha = torch.tensor(0.5)
    buffer.update_priorities(torch.tensor([[0]]), torch.tensor([[9.0]]))
    buffer.add(rows(torch.tensor([[7]])), torch.ones(1, 1, dtype=torch.bool))  # in the place of row 0
    assert priorities(buffer).tolist() == [[4.0, 16.0, 1.0, 1.0]]
    buffer.update_priorities(torch.tensor([[1]]), torch.tensor([[25.0]]))
    assert priorities(buffer).tolist() == [[4.0, 5.0, 1.0, 1.0]]


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_an_error_that_is_not_finite_damages_nothing(bad: float) -> None:
    buffer = full(3)
    set_errors(buffer, torch.tensor([[2.0] * 4, [bad] * 4, [2.0, bad, 2.0, 2.0]]))
    assert priorities(buffer).tolist() == [[2.0] * 4, [1.0] * 4, [2.0, 1.0, 2.0, 2.0]]
    buffer.add(rows(torch.full((3, 1), 9)), torch.ones(3, 1, dtype=torch.bool))
    assert priorities(buffer)[:, 0].tolist() == [2.0, 1.0, 2.0]
    assert buffer.sample_rows(3, 64, generators(range(3))).amax(dim=(0, 2)).tolist() == [3, 7, 11]


def test_seeds_that_did_not_learn_keep_their_priorities() -> None:
    buffer = full(2)
    set_errors(buffer, torch.full((2, 4), 5.0), torch.tensor([True, False]))
    assert priorities(buffer).tolist() == [[5.0] * 4, [1.0] * 4]


def test_a_seed_without_rows_takes_no_priority_and_has_finite_weights() -> None:
    buffer = PrioritizedReplay(ENTRIES, 2, 4, alpha=1.0, eps=0.0)
    valid = torch.tensor([[True, True], [False, False]])
    buffer.add(rows(torch.arange(4).view(2, 2)), valid)
    drawn = buffer.sample_rows(1, 4, generators(range(2)))
    assert torch.equal(buffer.weights(drawn[0], 0.4), torch.ones(2, 4))
    buffer.update_priorities(drawn[0], torch.full((2, 4), 3.0))
    assert buffer._tree.total.tolist() == [6.0, 0.0]
    buffer.add(rows(torch.tensor([[5], [6]])), torch.tensor([[False], [True]]))
    numbers = buffer.gather(buffer.sample_rows(4, 8, generators(range(2))))["action"]
    assert set(numbers[:, 1].flatten().tolist()) == {6}


@pytest.mark.parametrize("n_seeds", [3, 8])
def test_a_seed_learns_and_draws_what_it_would_alone(n_seeds: int) -> None:
    together = PrioritizedReplay(ENTRIES, n_seeds, 40)
    alone = [PrioritizedReplay(ENTRIES, 1, 40) for _ in range(n_seeds)]
    streams, single = generators(range(n_seeds)), generators(range(n_seeds))
    for numbers, valid in ragged(n_seeds, [5, 1, 30, 17]):
        together.add(rows(numbers), valid)
        drawn = together.sample_rows(1, 16, streams)[0]
        error = together.gather(drawn[None])["reward"][0].sin()
        weights = together.weights(drawn, 0.4)
        together.update_priorities(drawn, error)
        for seed, own in enumerate(alone):
            own.add(rows(numbers[seed : seed + 1]), valid[seed : seed + 1])
            picked = own.sample_rows(1, 16, single[seed : seed + 1])[0]
            assert torch.equal(picked[0], drawn[seed] - 40 * seed)
            assert torch.equal(own.weights(picked, 0.4)[0], weights[seed])
            own.update_priorities(picked, own.gather(picked[None])["reward"][0].sin())
