"""Return distributions: hand-computed values, invariants of each projection, vmap, grad and tracing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.rl.distributional import atoms_between, project, quantile_huber, quantile_midpoints, without_largest

ATOMS = torch.tensor([-1.0, 0.0, 1.0])


def test_atoms_reach_from_end_to_end() -> None:
    assert atoms_between(-1.0, 1.0, 3, torch.zeros(1)).tolist() == [-1.0, 0.0, 1.0]
    assert atoms_between(torch.tensor(0.0), torch.tensor(4.0), 3, torch.zeros(1)).tolist() == [0.0, 2.0, 4.0]


def test_the_mass_of_a_target_atom_is_shared_by_its_neighbours() -> None:
    # 0.5 + 0.5 z: the middle one lies half way between two atoms.
    mass = project(torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[0.25, 0.5, 0.25]]), ATOMS)
    assert mass.tolist() == [[0.0, 0.5, 0.5]]


def test_targets_beyond_the_range_count_at_its_ends() -> None:
    mass = project(torch.tensor([[3.0, -4.0, 0.25]]), torch.tensor([[0.5, 0.25, 0.25]]), ATOMS)
    assert mass.tolist() == [[0.25, 0.1875, 0.5625]]


def test_a_terminal_row_is_its_reward_whatever_follows() -> None:
    terminal = 0.25 + 0.0 * ATOMS.expand(2, 3)
    mass = project(terminal, torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]), ATOMS)
    torch.testing.assert_close(mass, torch.tensor([[0.0, 0.75, 0.25]]).expand(2, 3))


def test_mass_is_kept_and_so_is_the_mean_within_the_range() -> None:
    torch.manual_seed(0)
    atoms = torch.linspace(-3.0, 7.0, 51)
    probability = torch.randn(100, 51).softmax(-1)
    anywhere = 10.0 * torch.randn(100, 51)
    torch.testing.assert_close(project(anywhere, probability, atoms).sum(-1), torch.ones(100))
    inside = torch.rand(100, 51) * 10.0 - 3.0
    mean = (project(inside, probability, atoms) * atoms).sum(-1)
    torch.testing.assert_close(mean, (probability * inside).sum(-1), rtol=1e-4, atol=1e-4)


def test_quantiles_stand_for_the_middles_of_their_shares() -> None:
    assert quantile_midpoints(4, torch.zeros(1)).tolist() == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize(("kappa", "expected"), [(1.0, 1.125), (2.0, 0.8125)])
def test_quantile_huber_by_hand(kappa: float, expected: float) -> None:
    # kappa 1. Quantile 0 (0.25): errors 1, 4 cost 0.5, 3.5, each times 0.25; their mean is 0.5. Quantile 2 (0.75):
    # errors -1, 2 cost 0.5, 1.5, times 0.25 and 0.75; their mean is 0.625.
    # kappa 2. 0.25 * (0.5 + 6) / 2 / 2, and (0.25 * 0.5 + 0.75 * 2) / 2 / 2.
    assert quantile_huber(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 4.0]]), kappa).tolist() == [expected]


def test_the_loss_is_flat_where_the_quantiles_are_right() -> None:
    quantiles = torch.tensor([1.5, 3.5], requires_grad=True)  # a quarter, and three quarters, lie below
    quantile_huber(quantiles, torch.tensor([1.0, 2.0, 3.0, 4.0]), kappa=0.1).backward()
    assert quantiles.grad is not None
    assert quantiles.grad.tolist() == [0.0, 0.0]


def test_the_largest_quantiles_of_all_critics_together_are_dropped() -> None:
    quantiles = torch.tensor([[[1.0, 5.0, 3.0], [7.0, 8.0, 9.0]], [[2.0, 9.0, 4.0], [1.0, 2.0, 3.0]]])  # [C, B, n]
    assert without_largest(quantiles, 1).tolist() == [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 7.0]]
    assert without_largest(quantiles, 0).shape == (2, 6)


def test_they_can_be_mapped_differentiated_and_traced() -> None:
    torch.manual_seed(0)
    quantiles, target = torch.randn(3, 2, 4, 5), torch.randn(3, 4, 7)  # [S, C, B, n], [S, B, m]
    probability, moved = torch.randn(3, 4, 3).softmax(-1), torch.randn(3, 4, 3)

    def one_seed(quantiles: Tensor, target: Tensor, probability: Tensor, moved: Tensor) -> Tensor:
        kept = without_largest(quantiles, 2)
        return (quantile_huber(kept, target) + quantile_huber(quantiles, target).sum(0)).mean() + project(
            moved, probability, ATOMS
        ).square().sum()

    def step(*inputs: Tensor) -> tuple[Tensor, ...]:
        return torch.func.vmap(torch.func.grad(one_seed, argnums=(0, 2)))(*inputs)

    inputs = (quantiles, target, probability, moved)
    alone = [torch.func.grad(one_seed, argnums=(0, 2))(*(x[seed] for x in inputs)) for seed in range(3)]
    for at_once, single, traced in zip(step(*inputs), zip(*alone, strict=True), make_fx(step)(*inputs)(*inputs),
                                       strict=True):  # fmt: skip
        torch.testing.assert_close(at_once, torch.stack(single))
        torch.testing.assert_close(traced, at_once)
