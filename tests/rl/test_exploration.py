"""Exploration on top of a greedy policy, by hand-computed values."""

from __future__ import annotations

import pytest
import torch

from tuneexp.rl.exploration import epsilon_greedy, linear_epsilon


@pytest.mark.parametrize(("progress", "share"), [(0.0, 1.0), (0.25, 0.55), (0.5, 0.1), (0.75, 0.1), (1.0, 0.1)])
@pytest.mark.parametrize("number", [float, torch.tensor], ids=["float", "tensor"])
def test_the_share_falls_linearly_and_then_stays(progress: float, share: float, number: type) -> None:
    assert float(linear_epsilon(number(progress), number(0.5), number(1.0), number(0.1))) == pytest.approx(share)


def test_noise_decides_whether_to_explore_and_what_to_do_then() -> None:
    greedy = torch.tensor([2, 2, 2, 2])
    noise = torch.tensor([[0.05, 0.0], [0.05, 0.99], [0.0999, 0.25], [0.1, 0.0]])
    assert epsilon_greedy(greedy, noise, 0.1, 4).tolist() == [0, 3, 1, 2]


def test_without_exploration_the_action_is_the_greedy_one() -> None:
    noise = torch.zeros(3, 2)  # the smallest that a uniform number can be
    assert epsilon_greedy(torch.tensor([0, 1, 2]), noise, 0.0, 3).tolist() == [0, 1, 2]
    assert epsilon_greedy(torch.tensor([0, 1, 2]), noise, torch.tensor(0.0), 3).tolist() == [0, 1, 2]


def test_random_actions_are_all_as_likely_and_never_out_of_range() -> None:
    noise = torch.rand(30_000, 2, generator=torch.Generator().manual_seed(0))
    actions = epsilon_greedy(torch.zeros(30_000, dtype=torch.int64), noise, 1.0, 3)
    assert actions.bincount().tolist() == pytest.approx([10_000] * 3, rel=0.05)
    largest = torch.tensor([[0.0, 1.0]])  # what rounding may make of a number below 1
    assert epsilon_greedy(torch.tensor([0]), largest, 1.0, 3).tolist() == [2]
