"""Squashed Gaussian against torch.distributions, also at the bounds; scaling of actions."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, TanhTransform, TransformedDistribution
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.errors import UserError
from tuneexp.rl.squashed import ActionScale, SquashedGaussian


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def torchs(mean: Tensor, log_std: Tensor) -> TransformedDistribution:
    return TransformedDistribution(Normal(mean, log_std.exp()), [TanhTransform(cache_size=1)])


@pytest.mark.parametrize("event_dims", [0, 1, 2])
def test_log_prob_equals_torchs(event_dims: int) -> None:
    mean, log_std, noise = normal(5, 3, 2), normal(5, 3, 2, seed=1) * 0.5 - 1.0, normal(5, 3, 2, seed=2)
    action, log_prob = SquashedGaussian(mean, log_std, event_dims).sample_and_log_prob(noise)
    expected = torchs(mean, log_std).log_prob(action)
    if event_dims:
        expected = expected.sum(tuple(range(-event_dims, 0)))
    torch.testing.assert_close(log_prob, expected)
    torch.testing.assert_close(SquashedGaussian(mean, log_std, event_dims).log_prob(action), expected)
    torch.testing.assert_close(action, (mean + log_std.exp() * noise).tanh())


def test_the_density_sums_to_one() -> None:
    edges = torch.linspace(-1, 1, 200_001, dtype=torch.float64)
    actions = (edges[1:] + edges[:-1]) / 2
    dist = SquashedGaussian(torch.full((1,), 0.3).double(), torch.full((1,), -0.2).double())
    mass = dist.log_prob(actions.unsqueeze(-1)).exp().sum() * (edges[1] - edges[0])
    assert float(mass) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("raw", [-60.0, -12.0, 12.0, 60.0])
def test_a_sample_that_rounds_to_one_keeps_its_exact_density_and_gradient(raw: float) -> None:
    mean = torch.tensor([raw], requires_grad=True)
    action, log_prob = SquashedGaussian(mean, torch.zeros(1)).sample_and_log_prob(torch.zeros(1))
    assert abs(float(action)) == 1.0
    # -log(1 - tanh^2) = 2|u| - 2 log 2 + o(1), of slope 2 sign(u).
    expected = -0.5 * np.log(2 * np.pi) + 2 * abs(raw) - 2 * np.log(2)
    assert float(log_prob) == pytest.approx(expected, rel=1e-6)
    log_prob.backward()
    assert mean.grad is not None
    assert float(mean.grad) == pytest.approx(2.0 * np.sign(raw))


def test_log_prob_of_an_action_at_the_end_is_finite() -> None:
    dist = SquashedGaussian(torch.zeros(2), torch.zeros(2))
    assert torch.isfinite(dist.log_prob(torch.tensor([[1.0, -1.0]]))).all()


def test_the_mode_is_the_tanh_of_the_mean() -> None:
    assert SquashedGaussian(torch.tensor([0.5]), torch.zeros(1)).mode().item() == pytest.approx(np.tanh(0.5))


def test_gradients_equal_torchs() -> None:
    gradients = []
    for ours in (True, False):
        mean, log_std = normal(4, 2).requires_grad_(), (normal(4, 2, seed=1) * 0.3).requires_grad_()
        noise = normal(4, 2, seed=2)
        if ours:
            log_prob = SquashedGaussian(mean, log_std).sample_and_log_prob(noise)[1]
        else:
            dist = torchs(mean, log_std)
            log_prob = dist.log_prob(dist.transforms[0](mean + log_std.exp() * noise)).sum(-1)
        gradients.append(torch.autograd.grad(log_prob.sum(), [mean, log_std]))
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other)


# -- ActionScale

UNEVEN = gym.spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 6.0], np.float32))


def test_bounds_map_to_bounds_and_back() -> None:
    scale = ActionScale(UNEVEN)
    actions = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.5]])
    expected = torch.tensor([[-1.0, 0.0], [1.0, 6.0], [0.0, 4.5]])
    assert torch.equal(scale.to_env(actions), expected)
    assert torch.equal(scale.from_env(expected), actions)


def test_equal_bounds_keep_any_shape() -> None:
    scale = ActionScale(gym.spaces.Box(-2.0, 2.0, (2, 3)))
    assert torch.equal(scale.to_env(torch.full((5, 2, 3), 0.5)), torch.ones(5, 2, 3))


def test_a_scale_can_be_traced() -> None:
    scale = ActionScale(UNEVEN)
    traced = make_fx(lambda a: scale.from_env(scale.to_env(a) + 1.0), tracing_mode="fake")(torch.zeros(4, 2))
    torch.testing.assert_close(traced(torch.ones(4, 2)), torch.tensor([[2.0, 4.0 / 3.0]]).expand(4, 2))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (gym.spaces.Box(-np.inf, np.inf, (2,)), "from -inf to inf"),
        (gym.spaces.Box(0.0, np.inf, (2,)), "finite bounds"),
        (gym.spaces.Box(1.0, 1.0, (2,)), "one value only"),
        (gym.spaces.Discrete(2), "no scale"),
    ],
)
def test_spaces_without_a_scale_are_refused(space: gym.Space, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ActionScale(space)
