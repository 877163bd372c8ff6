"""Actors and critics: bounds of actions, independent critics, and shapes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

from tests.models.networks import CHOICE, MIXED, TORQUE, VECTOR, observe, randn, seeded
from tuneexp.errors import UserError
from tuneexp.models.continuous import (
    DeterministicActorCritic,
    DiscreteSoftActorCritic,
    GaussianActor,
    SoftActorCritic,
)
from tuneexp.models.critics import Critics


def one_by_one(critics: Critics, x: Tensor, normalised: bool) -> Tensor:
    """The same networks without batched products. x: [B, in]. Returns [n, B, out]."""
    outputs = []
    layers = [layer for layer in critics.layers if list(layer.parameters())]
    for n in range(critics.n_critics):
        y = x
        for index, layer in enumerate(layers):
            if normalised and index % 2 == 1:
                y = layer_norm(y, (y.shape[-1],), layer.weight[n, 0], layer.bias[n, 0]).relu()
            else:
                y = linear(y, layer.weight[n].T, layer.bias[n, 0])
                y = y.relu() if not normalised and index < len(layers) - 1 else y
        outputs.append(y)
    return torch.stack(outputs)


@pytest.mark.parametrize("normalised", [False, True], ids=["plain", "layer norm"])
@pytest.mark.parametrize("out_size", [1, 5])
def test_batched_critics_equal_one_network_after_the_other(out_size: int, normalised: bool) -> None:
    options: dict[str, Any] = {"n_critics": 3, "out_size": out_size, "layer_norm": normalised}
    critics = Critics(VECTOR, TORQUE, hidden_sizes=(8, 7), generator=seeded(), **options)
    for name, parameter in critics.named_parameters():
        parameter.data = randn(*parameter.shape, seed=len(name))
    obs, action = observe(VECTOR, 6), randn(6, 2)
    expected = one_by_one(critics, torch.cat([obs, action], dim=-1), normalised)
    torch.testing.assert_close(critics(obs, action), expected.squeeze(-1), rtol=1e-4, atol=1e-4)


def test_critics_start_apart_as_torchs_linear_layers() -> None:
    critics = Critics(VECTOR, TORQUE, hidden_sizes=(400,), generator=seeded())
    for name, parameter in critics.named_parameters():
        fan_in = 6 if name.startswith("layers.0") else 400
        assert parameter.abs().max() <= fan_in**-0.5
        assert not torch.equal(parameter[0], parameter[1])
    assert critics.layers[0].weight.abs().max() > 0.99 * 6**-0.5


SHAPED = gym.spaces.Box(-1.0, 1.0, (2, 3))
SCALAR = gym.spaces.Box(-1.0, 1.0, ())


@pytest.mark.parametrize("action_space", [TORQUE, SHAPED, SCALAR], ids=["vector", "matrix", "scalar"])
@pytest.mark.parametrize("space", [VECTOR, MIXED], ids=["vector", "dict"])
def test_shapes_follow_the_spaces(space: gym.Space, action_space: gym.spaces.Box) -> None:
    shape = action_space.shape
    soft = SoftActorCritic(space, action_space, hidden_sizes=(8,), n_critics=3, n_quantiles=4)
    hard = DeterministicActorCritic(space, action_space, hidden_sizes=(8,))
    for lead in [(5,), (2, 3)]:
        obs = observe(space, *lead)
        action, log_prob = soft.dist(obs).sample_and_log_prob(randn(*lead, *shape))
        assert action.shape == soft.dist(obs).mode().shape == hard.act(obs).shape == (*lead, *shape)
        assert log_prob.shape == lead
        assert soft.q(obs, action).shape == (3, *lead, 4)
        assert hard.q(obs, action).shape == (2, *lead)


def test_log_std_is_clamped() -> None:
    actor = GaussianActor(VECTOR, TORQUE, hidden_sizes=(8,))
    actor.log_std.bias.data = torch.tensor([-100.0, 100.0])
    log_std = actor(observe(VECTOR, 4))[1]
    assert log_std.tolist() == [[-20.0, 2.0]] * 4


def test_deterministic_actions_stay_in_their_bounds() -> None:
    net = DeterministicActorCritic(VECTOR, TORQUE, hidden_sizes=(8,))
    net.actor.out.bias.data = torch.tensor([-50.0, 50.0])
    action = net.act(observe(VECTOR, 4))
    assert action.tolist() == [[-1.0, 1.0]] * 4
    assert net.to_env(action).tolist() == [[-1.0, 6.0]] * 4


def test_the_discrete_form_has_a_value_for_each_action_and_critic() -> None:
    net, obs = DiscreteSoftActorCritic(VECTOR, CHOICE, hidden_sizes=(8,), n_critics=4), observe(VECTOR, 2, 3)
    assert net.q(obs).shape == (4, 2, 3, 3)
    assert not torch.equal(net.q(obs)[0], net.q(obs)[1])
    assert net.dist(obs).mode().shape == (2, 3)
    assert net.random_action(torch.tensor([0.0, 0.34, 0.999999])).tolist() == [0, 1, 2]


def test_parts_of_a_loss_are_submodules() -> None:
    for net in (SoftActorCritic(VECTOR, TORQUE), DiscreteSoftActorCritic(VECTOR, CHOICE)):
        parts = {name.partition(".")[0] for name, _ in net.named_parameters()}
        assert parts == {"actor", "critic", "temperature"}
    parts = {name.partition(".")[0] for name, _ in DeterministicActorCritic(VECTOR, TORQUE).named_parameters()}
    assert parts == {"actor", "critic"}


def test_the_temperature_starts_at_its_initial_value() -> None:
    net = SoftActorCritic(VECTOR, TORQUE, initial_alpha=0.2)
    assert net.alpha().item() == pytest.approx(0.2)
    assert net.temperature.log_alpha.item() == pytest.approx(np.log(0.2))
    with pytest.raises(UserError, match="above 0"):
        SoftActorCritic(VECTOR, TORQUE, initial_alpha=0.0)


@pytest.mark.parametrize("network", [SoftActorCritic, DeterministicActorCritic])
def test_unbounded_and_discrete_actions_are_refused(network: type) -> None:
    with pytest.raises(UserError, match="finite bounds"):
        network(VECTOR, gym.spaces.Box(-np.inf, np.inf, (2,)))
    with pytest.raises(UserError, match="continuous actions"):
        network(VECTOR, CHOICE)
