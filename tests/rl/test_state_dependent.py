"""gSDE: distribution and gradients equal those of Stable-Baselines3."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.distributions import StateDependentNoiseDistribution
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from tuneexp.errors import UserError
from tuneexp.models.gsde import ExplorationWeights
from tuneexp.rl.distributions import action_head
from tuneexp.rl.squashed import ActionScale, SquashedGaussian
from tuneexp.rl.state_dependent import RescaledGaussian, StateDependentGaussian, squashing
from tuneexp.spaces.kinds import require_continuous

ROWS, LATENT, ACTIONS = 7, 5, 3
HEAD = action_head(gym.spaces.Box(-1.0, 1.0, (ACTIONS,)))


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def theirs(full_std: bool, use_expln: bool, squash: bool, learn_features: bool) -> StateDependentNoiseDistribution:
    dist = StateDependentNoiseDistribution(ACTIONS, full_std, use_expln, squash, learn_features)
    dist.proba_distribution_net(LATENT, -1.0, LATENT)
    if dist.bijector is not None:
        dist.bijector.epsilon = 0.0  # theirs keeps log(1 - tanh^2) finite by 1e-6; here it is computed without overflow
    return dist


def gradients(value: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
    return list(found)


@pytest.mark.parametrize("shared", [False, True], ids=["weights of each row", "weights of all rows"])
@pytest.mark.parametrize("learn_features", [False, True], ids=["detached", "learned"])
@pytest.mark.parametrize("use_expln", [False, True], ids=["exp", "expln"])
@pytest.mark.parametrize("full_std", [True, False], ids=["full", "of units"])
@pytest.mark.parametrize("squash", [False, True], ids=["plain", "tanh"])
def test_it_equals_that_of_stable_baselines3(
    squash: bool, full_std: bool, use_expln: bool, learn_features: bool, shared: bool
) -> None:
    columns = ACTIONS if full_std else 1
    mean, latent = 0.3 * randn(ROWS, ACTIONS, seed=0), randn(ROWS, LATENT, seed=1).tanh()
    log_std = randn(LATENT, columns, seed=2) - 1.0
    log_std[0], log_std[1] = 0.7, 0.0  # both sides of the bend of expln, and the bend
    leaves = [leaf.requires_grad_() for leaf in (mean, latent, log_std)]
    noise = 0.3 * randn(*(() if shared else (ROWS,)), LATENT, ACTIONS, seed=3)

    weights = ExplorationWeights(LATENT, HEAD, 0.0, full_std, use_expln, learn_features=learn_features)
    del weights.log_std
    weights.log_std = log_std  # type: ignore[assignment]
    normal = weights.dist(mean, latent)
    ours = SquashedGaussian.of(normal) if squash else normal

    their = theirs(full_std, use_expln, squash, learn_features)
    their.proba_distribution(mean, log_std, latent)
    drawn = their.get_std(log_std) * noise
    their.exploration_mat = drawn if shared else drawn[0]
    their.exploration_matrices = drawn[None] if shared else drawn

    action = ours.sample(noise)
    pairs = [
        (action, their.sample()),
        (ours.mode(), their.mode()),
        (ours.log_prob(action.detach()), their.log_prob(action.detach())),
        (ours.log_prob(action), their.log_prob(their.sample())),
    ]
    if not squash:
        pairs.append((normal.entropy(), their.entropy()))
    for own, other in pairs:
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)
        for gradient, expected in zip(gradients(own, leaves), gradients(other, leaves), strict=True):
            torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)


def test_the_same_state_gets_the_same_noise_and_another_state_another() -> None:
    latent, mean = randn(2, LATENT, seed=0), torch.zeros(2, ACTIONS)
    dist = StateDependentGaussian(mean, latent, torch.ones(LATENT, ACTIONS))
    noise = randn(LATENT, ACTIONS, seed=1)
    first, second = dist.sample(noise), dist.sample(noise)
    assert torch.equal(first, second)
    assert (first[0] - first[1]).abs().min() > 1e-3
    twice = StateDependentGaussian(mean, 2.0 * latent, torch.ones(LATENT, ACTIONS)).sample(noise)
    torch.testing.assert_close(twice, 2.0 * first)


def test_samples_have_the_density_that_is_reported() -> None:
    latent, mean = torch.tensor([0.5, -1.0]), torch.tensor([0.3])
    dist = StateDependentGaussian(mean, latent, torch.tensor([[0.4], [0.2]]))
    many = StateDependentGaussian(mean.expand(200_000, 1), latent.expand(200_000, 2), dist.std)
    actions = many.sample(randn(200_000, 2, 1, seed=0))
    assert actions.mean().item() == pytest.approx(0.3, abs=2e-3)
    assert actions.std().item() == pytest.approx(np.sqrt(0.04 + 0.04), rel=1e-2)
    assert -dist.log_prob(actions).mean().item() == pytest.approx(dist.entropy().item(), abs=1e-2)


def test_squashed_actions_reach_the_bounds_of_their_space() -> None:
    space = gym.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    normal = StateDependentGaussian(torch.tensor([[0.2, -0.4]]), torch.ones(1, 4), 0.3 * torch.ones(4, 2))
    dist, noise = RescaledGaussian(SquashedGaussian.of(normal), ActionScale(space)), randn(1, 4, 2, seed=0)
    action = dist.sample(noise)
    torch.testing.assert_close(
        action, torch.tensor([0.0, 5.0]) + torch.tensor([2.0, 5.0]) * normal.sample(noise).tanh()
    )
    assert (dist.sample(1e6 * noise).abs() <= torch.tensor([2.0, 10.0])).all()
    squashed = SquashedGaussian.of(normal).log_prob(normal.sample(noise).tanh())
    torch.testing.assert_close(dist.log_prob(action), squashed, rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="closed form"):
        dist.entropy()


def test_it_is_a_bundle_of_tensors_with_its_batch_axes_first() -> None:
    normal = StateDependentGaussian(torch.zeros(4, 3, 2), torch.ones(4, 3, 5), torch.ones(5, 2))
    leaves, structure = tree_flatten(normal)
    assert [leaf.shape[:2] for leaf in leaves] == [(4, 3)] * 3
    again, noise = tree_unflatten(leaves, structure), randn(4, 3, 5, 2, seed=0)
    torch.testing.assert_close(again.sample(noise), normal.sample(noise))
    torch.testing.assert_close(again.log_prob(noise[:, :, 0]), normal.log_prob(noise[:, :, 0]))


def test_spaces_without_numbers_or_bounds_are_reported() -> None:
    with pytest.raises(UserError, match="use_sde=false"):
        require_continuous(gym.spaces.Discrete(2))
    with pytest.raises(UserError, match="squash_output=false"):
        squashing(gym.spaces.Box(-np.inf, np.inf, (1,)))
