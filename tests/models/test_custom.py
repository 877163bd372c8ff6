"""Custom networks: by address or class, with any leading axes, and errors for missing methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models import own_networks as own
from tests.models.networks import CHOICE, TORQUE, VECTOR, check_seed_axis, observe, randn
from tuneexp.errors import UserError
from tuneexp.models.custom import (
    CustomActorCritic,
    CustomDeterministicActorCritic,
    CustomDiscreteSoftActorCritic,
    CustomQNetwork,
    CustomSoftActorCritic,
)
from tuneexp.models.heads import (
    Head,
    build_custom,
    check_heads,
    deterministic_heads,
    example_observation,
    q_heads,
    soft_actor_critic_heads,
)

FILE = Path(own.__file__)
IMAGE = gym.spaces.Box(0, 255, (2, 5, 5), dtype=np.uint8)


@pytest.mark.parametrize(
    "model",
    [own.Policy, f"{FILE}:Policy", "tests.models.own_networks:Policy"],
    ids=["class", "path", "module"],
)
def test_a_network_is_named_by_class_or_address(model: Any) -> None:
    net = CustomActorCritic(model, VECTOR, CHOICE, owner="ppo", kwargs={"width": 5})
    assert net.dist(observe(VECTOR, 6)).mode().shape == (6,)
    assert dict(net.named_parameters())["net.mean.weight"].shape == (3, 5)


@pytest.mark.parametrize("action", [CHOICE, TORQUE], ids=["discrete", "continuous"])
@pytest.mark.parametrize("space", [VECTOR, IMAGE], ids=["vector", "image"])
def test_leading_axes_are_merged_before_the_network_and_restored_after_it(space: gym.Space, action: gym.Space) -> None:
    net = CustomActorCritic(own.Policy, space, action, owner="ppo")
    obs = observe(space, 2, 3)
    dist, value = net.dist_and_value(obs)
    torch.testing.assert_close(value.flatten(), net.net.value(obs.flatten(0, 1)))
    assert dist.entropy().shape == value.shape == (2, 3)
    assert net.value(obs[0, 0]).shape == ()
    assert net.unroll(obs, None, torch.zeros(2, 3, dtype=torch.bool))[1].shape == (2, 3)
    if action is TORQUE:
        torch.testing.assert_close(dist.log_std, torch.tensor([-0.5, -0.5]))  # type: ignore[attr-defined]


def test_log_std_of_a_users_network_is_learned() -> None:
    net = CustomActorCritic(own.Policy, VECTOR, TORQUE, owner="ppo")
    net.dist(observe(VECTOR, 4)).log_prob(torch.zeros(4, 2)).sum().backward()
    assert net.net.log_std.grad.abs().min() > 0


def test_an_own_network_takes_a_mask() -> None:
    space = gym.spaces.Dict({"allowed": gym.spaces.MultiBinary(3), "x": gym.spaces.MultiBinary(1)})

    class Packed(own.Policy):
        def __init__(self, observation_space: Any, action_space: Any) -> None:
            super().__init__(VECTOR, action_space)

    net = CustomActorCritic(Packed, space, CHOICE, owner="ppo", action_mask="allowed")
    obs = torch.tensor([[0, 1, 0, 1]], dtype=torch.uint8)
    assert net.dist(obs).mode().tolist() == [1]


def soft(model: CustomSoftActorCritic, obs: Tensor, noise: Tensor) -> list[Tensor]:
    action, log_prob = model.dist(obs).sample_and_log_prob(noise)
    return [model.q(obs, action), log_prob, model.alpha(), model.to_env(action)]


def test_own_networks_have_a_seed_axis() -> None:
    obs = observe(VECTOR, 3, 4, 2)

    def seeded(build: Any) -> Any:
        def make(generator: torch.Generator) -> nn.Module:
            with torch.random.fork_rng():
                torch.manual_seed(generator.initial_seed())
                return build()

        return make

    args: dict[str, Any] = {"owner": "it"}
    check_seed_axis(
        seeded(lambda: CustomActorCritic(own.Policy, VECTOR, TORQUE, **args)),
        lambda model, obs: [model.value(obs), model.dist(obs).mode()],
        [obs],
    )
    check_seed_axis(seeded(lambda: CustomQNetwork(own.Values, VECTOR, CHOICE, **args)), lambda m, o: [m.q(o)], [obs])
    check_seed_axis(
        seeded(lambda: CustomSoftActorCritic(own.Soft, VECTOR, TORQUE, **args)), soft, [obs, randn(3, 4, 2, 2)]
    )
    check_seed_axis(
        seeded(lambda: CustomDiscreteSoftActorCritic(own.SoftOnChoices, VECTOR, CHOICE, **args)),
        lambda model, obs: [model.q(obs), model.dist(obs).log_probs, model.alpha()],
        [obs],
    )
    check_seed_axis(
        seeded(lambda: CustomDeterministicActorCritic(own.Deterministic, VECTOR, TORQUE, **args)),
        lambda model, obs: [model.q(obs, model.act(obs))],
        [obs],
    )


def test_shapes_of_own_off_policy_networks() -> None:
    obs, noise = observe(VECTOR, 3, 5), randn(3, 5, 2)
    net = CustomSoftActorCritic(own.Soft, VECTOR, TORQUE, owner="sac", initial_alpha=0.5)
    action, log_prob = net.dist(obs).sample_and_log_prob(noise)
    mean, log_std = net.actor(obs.flatten(0, 1))
    expected = (mean + log_std.exp() * noise.flatten(0, 1)).tanh().view(3, 5, 2)
    torch.testing.assert_close(action, expected)
    assert net.q(obs, action).shape == (2, 3, 5)
    torch.testing.assert_close(net.q(obs, action)[1, 2], net.critic(obs[2], action[2])[1])
    assert log_prob.shape == (3, 5)
    assert net.alpha().item() == pytest.approx(0.5)
    choices = CustomDiscreteSoftActorCritic(own.SoftOnChoices, VECTOR, CHOICE, owner="sac")
    assert choices.q(obs).shape == (2, 3, 5, 3)
    assert choices.random_action(torch.tensor([0.9])).tolist() == [2]
    hard = CustomDeterministicActorCritic(own.Deterministic, VECTOR, TORQUE, owner="td3")
    torch.testing.assert_close(hard.act(obs), hard.actor(obs).tanh())
    values = CustomQNetwork(own.Values, VECTOR, CHOICE, owner="dqn")
    assert values.q(obs, None).shape == (3, 5, 3)
    assert values.noise_size == 0


# -- what is refused


def fails(model: Any, message: str, action: gym.Space = CHOICE, **kwargs: Any) -> None:
    with pytest.raises(UserError, match=message):
        CustomActorCritic(model, VECTOR, action, owner="ppo", kwargs=kwargs)


def test_every_missing_head_is_named_with_its_shape() -> None:
    fails(
        own.NoHeads,
        r"NoHeads lacks what ppo needs \(did you mean 'values' as 'value'\?\); add\n"
        r"policy\(obs\) -> \[B, 2\]; value\(obs\) -> \[B\]; log_std = torch.nn.Parameter of shape \[2\]$",
        action=TORQUE,
    )


def test_a_wrong_shape_is_reported_with_the_right_one() -> None:
    fails(own.WideValue, r"WideValue.value has shape \[2, 1\] for a batch of 2, ppo needs \[2\]: value\(obs\) -> \[B\]")
    with pytest.raises(UserError, match=r"Values.q .*\[2, 3\] .*\[2, 3, 51\]"):
        CustomQNetwork(own.Values, VECTOR, CHOICE, owner="dqn", atoms=51)
    with pytest.raises(UserError, match=r"Soft.critic .*\[2, 2\] .*\[5, 2\]"):
        CustomSoftActorCritic(own.Soft, VECTOR, TORQUE, owner="sac", n_critics=5)


def test_a_head_that_fails_is_reported_with_its_inputs() -> None:
    fails(own.BrokenValue, r"BrokenValue.value\(obs: float32 \[2, 4\]\) failed: RuntimeError: mat1 and mat2")


def test_a_head_of_several_outputs_needs_them_all() -> None:
    with pytest.raises(UserError, match=r"Deterministic.actor .*\(Tensor\).* 2 tensors"):
        CustomSoftActorCritic(own.Deterministic, VECTOR, TORQUE, owner="sac")


def test_a_part_must_be_a_module() -> None:
    net = nn.Linear(4, 2)
    with pytest.raises(UserError, match=r"critic\(obs, action\) .*\[2, B\]"):
        check_heads(net, "td3", deterministic_heads(VECTOR, TORQUE))


def test_integers_are_no_values() -> None:
    class Whole(own.Values):
        def q(self, obs: Tensor) -> Tensor:
            return self.layer(obs).long()

    with pytest.raises(UserError, match=r"Whole.q .*torch.int64"):
        check_heads(Whole(VECTOR, CHOICE), "dqn", q_heads(VECTOR, CHOICE))


def test_every_parameter_belongs_to_one_part() -> None:
    with pytest.raises(UserError, match=r"Loose.encoder.weight .*neither"):
        CustomSoftActorCritic(own.Loose, VECTOR, TORQUE, owner="sac")
    with pytest.raises(UserError, match=r"share .*critic.shared.weight"):
        CustomDeterministicActorCritic(own.Tied, VECTOR, TORQUE, owner="td3")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.BatchNorm1d(3), r"net.1 is a BatchNorm1d, which keeps statistics of the batch; use torch.nn.LayerNorm"),
        (nn.Dropout(0.1), r"net.1 is a Dropout, which draws random numbers"),
        (nn.LSTM(3, 3), r"net.1 is a LSTM, which has no seed axis; use tuneexp.models.recurrent.LSTMCell"),
        (nn.LazyLinear(3), r"net.1.weight has no shape yet"),
        (nn.Linear(3, 3).double(), r"net.1.weight is torch.float64"),
    ],
)
def test_layers_that_can_not_be_trained_here_are_refused(layer: nn.Module, message: str) -> None:
    fails(own.WithLayer, message, layer=layer)


def test_buffers_are_refused() -> None:
    fails(own.WithBuffer, r"has buffers \(scale\).* compute constants in forward")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (own.not_a_module, r"not_a_module\(observation_space, action_space\) gave int; it must give a torch.nn.Module"),
        (nn.Identity, r"Identity has no parameters"),
        (nn.Linear(2, 2), r"is Linear, not a class"),
        (f"{FILE}:ACTIONS", r"ACTIONS.* is a int; name a torch.nn.Module"),
        (f"{FILE}:Polic", r"has no 'Polic'; did you mean .*:Policy\?"),
        ("Policy", r"write module:NAME or path/file.py:NAME"),
    ],
)
def test_what_is_no_network_is_reported(model: Any, message: str) -> None:
    fails(model, message)


def test_a_call_that_fails_is_reported_with_its_arguments() -> None:
    fails(own.Policy, r"Policy\(observation_space, action_space, widht=...\) failed: TypeError: .*'widht'", widht=3)


def test_examples_are_as_networks_see_observations() -> None:
    assert example_observation(gym.spaces.Box(-1, 1, (2,), dtype=np.float64)).dtype == torch.float32
    assert example_observation(IMAGE).dtype == torch.uint8
    assert example_observation(gym.spaces.Box(0, 9, (3,), dtype=np.int64)).dtype == torch.int64
    assert example_observation(gym.spaces.Discrete(3)).shape == ()
    packed = example_observation(gym.spaces.Dict({"a": IMAGE, "b": gym.spaces.Discrete(4)}))
    assert packed.shape == (51,)
    assert packed.dtype == torch.uint8


def test_head_tables_follow_the_action_space() -> None:
    assert soft_actor_critic_heads(VECTOR, CHOICE)["critic"].signature("critic") == (
        "critic(obs) (a torch.nn.Module) -> [2, B, 3]"
    )
    assert Head({}, (3,), kind="parameter").signature("log_std") == "log_std = torch.nn.Parameter of shape [3]"


def test_building_draws_from_torchs_generator_so_that_seeds_differ() -> None:
    nets = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        nets.append(build_custom(own.Policy, VECTOR, CHOICE, {}).state_dict()["mean.weight"])
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])
