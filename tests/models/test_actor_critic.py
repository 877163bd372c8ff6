"""Actor-critic networks: parts, initialisation, and the seed axis against a loop over seeds."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.errors import UserError
from tuneexp.models.actor_critic import ActorCritic
from tuneexp.models.encoder import FlatObservation

BOX = gym.spaces.Box(-1.0, 1.0, (4,))
OBSERVATIONS = {
    "vector": BOX,
    "matrix": gym.spaces.Box(-1.0, 1.0, (2, 3)),
    "scalar": gym.spaces.Box(-1.0, 1.0, ()),
    "bytes": gym.spaces.Box(0, 255, (3, 2), dtype=np.uint8),
    "image": gym.spaces.Box(0, 255, (7, 7, 3), dtype=np.uint8),
    "doubles": gym.spaces.Box(-1.0, 1.0, (4,), dtype=np.float64),
    "discrete": gym.spaces.Discrete(5),
    "discrete from 3": gym.spaces.Discrete(5, start=3),
}
ACTIONS = {
    "discrete": gym.spaces.Discrete(3),
    "multi-discrete": gym.spaces.MultiDiscrete([2, 3]),
    "box": gym.spaces.Box(-1.0, 1.0, (2,)),
}
EVERY_OBSERVATION = pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS.keys())
EVERY_ACTION = pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS.keys())
SHARED = pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(
    observation: gym.Space = BOX, action: gym.Space = ACTIONS["discrete"], seed: int = 0, **kwargs: Any
) -> ActorCritic:
    return ActorCritic(observation, action, generator=seeded(seed), **{"hidden_sizes": (16, 8), **kwargs})


def observe(space: gym.Space, *lead: int) -> Tensor:
    space.seed(0)
    return torch.as_tensor(np.stack([space.sample() for _ in range(int(np.prod(lead)))])).view(*lead, *space.shape)


@SHARED
@EVERY_ACTION
@EVERY_OBSERVATION
def test_outputs_keep_the_leading_axes(observation: gym.Space, action: gym.Space, shared: bool) -> None:
    net = model(observation, action, shared=shared)
    for lead in [(7,), (2, 3)]:
        output = net(observe(observation, *lead))
        assert output.policy.shape == (*lead, net.head.size)
        assert output.value.shape == lead
        assert output.policy.dtype == output.value.dtype == torch.float32
    assert (output.log_std is not None) == isinstance(action, gym.spaces.Box)


@SHARED
def test_value_dist_and_forward_agree(shared: bool) -> None:
    net, obs = model(shared=shared), observe(BOX, 6)
    output = net(obs)
    torch.testing.assert_close(net.value(obs), output.value)
    torch.testing.assert_close(net.dist(obs).entropy(), net.head.dist(output.policy, None).entropy())
    dist, value = net.dist_and_value(obs)
    torch.testing.assert_close(dist.entropy(), net.dist(obs).entropy())
    torch.testing.assert_close(value, output.value)


def test_a_discrete_observation_is_one_hot_from_its_start() -> None:
    flat = FlatObservation(gym.spaces.Discrete(4, start=2))
    assert flat(torch.tensor([2, 5])).tolist() == [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    assert flat.size == 4


def test_a_box_observation_is_flattened_row_by_row() -> None:
    flat = FlatObservation(gym.spaces.Box(0, 9, (2, 3), dtype=np.int64))
    assert flat(torch.arange(12).view(2, 2, 3)).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_the_start_is_that_of_stable_baselines3() -> None:
    net = model(action=ACTIONS["box"])

    def gains(part: torch.nn.Module) -> list[float]:
        weights = [value for name, value in part.state_dict().items() if name.endswith("weight")]
        return [float(torch.linalg.svdvals(weight)[0]) for weight in weights]

    assert gains(net.policy_net) == pytest.approx([2**0.5, 2**0.5, 0.01], rel=1e-5)
    assert gains(net.value_net) == pytest.approx([2**0.5, 2**0.5, 1.0], rel=1e-5)
    assert not any(value.any() for name, value in net.state_dict().items() if name.endswith("bias"))
    assert net.log_std is not None
    assert net.log_std.tolist() == [0.0, 0.0]


def test_the_first_policy_is_nearly_uniform() -> None:
    probabilities = model()(observe(BOX, 50)).policy.softmax(-1)
    assert (probabilities - 1 / 3).abs().max() < 0.02


def test_log_std_init_and_plain_init_are_used() -> None:
    net = model(action=ACTIONS["box"], log_std_init=-1.5, ortho_init=False)
    assert net.log_std is not None
    assert net.log_std.tolist() == [-1.5, -1.5]
    assert any(value.any() for name, value in net.state_dict().items() if name.endswith("bias"))


@SHARED
def test_weights_depend_on_the_generator_alone(shared: bool) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (model(seed=seed, shared=shared).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    weights = [name for name in first if name.endswith("weight")]
    assert all(not torch.equal(first[name], other[name]) for name in weights)


def test_separate_networks_share_no_gradient_and_shared_ones_do() -> None:
    obs = observe(BOX, 5)
    for shared in (False, True):
        net = model(shared=shared)
        net(obs).value.sum().backward()
        with_gradient = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
        assert with_gradient == ({"trunk", "value_net"} if shared else {"value_net"})


def test_policy_and_value_networks_may_have_their_own_sizes() -> None:
    net = model(hidden_sizes=(16,), vf_hidden_sizes=(32, 8))
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters() if name.endswith("weight")}
    assert shapes == {
        "policy_net.layers.0.weight": (16, 4),
        "policy_net.layers.2.weight": (3, 16),
        "value_net.layers.0.weight": (32, 4),
        "value_net.layers.2.weight": (8, 32),
        "value_net.layers.4.weight": (1, 8),
    }
    assert isinstance(net.policy_net.layers[1], torch.nn.Tanh)


def test_a_shared_trunk_has_all_hidden_layers_and_the_heads_have_none() -> None:
    shapes = {name: tuple(p.shape) for name, p in model(shared=True).named_parameters() if name.endswith("weight")}
    assert shapes == {
        "trunk.layers.0.weight": (16, 4),
        "trunk.layers.2.weight": (8, 16),
        "policy_net.layers.0.weight": (3, 8),
        "value_net.layers.0.weight": (1, 8),
    }


def test_networks_may_be_linear() -> None:
    for shared in (False, True):
        net = model(hidden_sizes=(), shared=shared)
        assert sum(p.numel() for p in net.parameters()) == 4 * 3 + 3 + 4 + 1
        assert net(observe(BOX, 2)).value.shape == (2,)


def test_a_shared_network_refuses_sizes_of_its_own_for_the_value() -> None:
    with pytest.raises(UserError, match="one list"):
        model(shared=True, vf_hidden_sizes=(32,))


@pytest.mark.parametrize("space", [gym.spaces.Text(3), gym.spaces.Tuple([BOX]), gym.spaces.Sequence(BOX)])
def test_other_observation_spaces_are_refused_with_what_is_supported(space: gym.Space) -> None:
    with pytest.raises(UserError, match="Box or Discrete"):
        model(observation=space)


# -- seeds as an axis


def loss_of(net: ActorCritic, params: dict[str, Tensor], obs: Tensor, noise: Tensor) -> Tensor:
    output = functional_call(net, params, (obs,))
    dist = net.head.dist(output.policy, output.log_std)
    action = dist.sample(noise).detach()
    return (dist.log_prob(action) + dist.entropy() + output.value.square()).mean()


def stacked_case(
    observation: gym.Space, action: gym.Space, shared: bool
) -> tuple[list[ActorCritic], dict, Tensor, Tensor]:
    nets = [model(observation, action, seed=seed, shared=shared) for seed in range(3)]
    params = {name: value.detach() for name, value in stack_module_state(nets)[0].items()}
    kind, shape = nets[0].head.noise
    draw = torch.rand if kind == "uniform" else torch.randn
    return nets, params, observe(observation, 3, 6), draw(3, 6, *shape, generator=seeded())


@SHARED
@EVERY_ACTION
@pytest.mark.parametrize("observation", [BOX, OBSERVATIONS["discrete"]], ids=["box", "discrete"])
def test_vmap_over_stacked_seeds_equals_each_seed_alone(
    observation: gym.Space, action: gym.Space, shared: bool
) -> None:
    nets, params, obs, noise = stacked_case(observation, action, shared)
    together = vmap(grad(lambda p, o, n: loss_of(nets[0], p, o, n)))(params, obs, noise)
    for seed, net in enumerate(nets):
        loss_of(net, dict(net.named_parameters()), obs[seed], noise[seed]).backward()
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(together[name][seed], parameter.grad, msg=f"{name} of seed {seed}")


@SHARED
@EVERY_ACTION
def test_a_traced_step_over_seeds_equals_the_plain_one(action: gym.Space, shared: bool) -> None:
    nets, params, obs, noise = stacked_case(BOX, action, shared)

    def total(params: dict[str, Tensor], obs: Tensor, noise: Tensor) -> Tensor:
        return vmap(lambda p, o, n: loss_of(nets[0], p, o, n))(params, obs, noise).sum()

    traced = make_fx(grad(total), tracing_mode="fake")(params, obs, noise)
    expected = grad(total)(params, obs + 0.5, noise)
    for name, gradient in traced(params, obs + 0.5, noise).items():
        torch.testing.assert_close(gradient, expected[name])
