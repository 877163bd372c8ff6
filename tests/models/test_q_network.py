"""Noisy layers and Q-networks, by hand-computed values."""

from __future__ import annotations

import gymnasium as gym
import pytest
import torch
from torch import nn

from tests.models.networks import ATARI, CHOICE, TORQUE, VECTOR, observe, randn, seeded
from tuneexp.errors import UserError
from tuneexp.models.noisy import NoisyLinear
from tuneexp.models.q_network import QNetwork


def set_layer(layer: nn.Module, **values: list) -> None:
    for name, value in values.items():
        getattr(layer, name).data = torch.tensor(value)


# -- noisy


def noisy_by_hand() -> NoisyLinear:
    layer = NoisyLinear(2, 1)
    set_layer(layer, weight=[[1.0, 2.0]], bias=[0.5], weight_sigma=[[0.1, 0.2]], bias_sigma=[0.3])
    return layer


def test_factorised_noise_by_hand() -> None:
    # f = sign * sqrt: inputs 2 and -3, output 0.5. Weights 1 + 0.1 * 2 * 0.5 and 2 - 0.2 * 3 * 0.5; bias 0.5 + 0.15.
    noise = torch.tensor([4.0, -9.0, 0.25])
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [2.0, 1.0]])
    expected = torch.tensor([[1.1 + 0.65], [1.7 + 0.65], [0.65], [2.2 + 1.7 + 0.65]])
    torch.testing.assert_close(noisy_by_hand()(x, noise), expected)
    torch.testing.assert_close(noisy_by_hand()(x, noise.expand(4, 3)), expected)
    torch.testing.assert_close(noisy_by_hand()(x), x @ torch.tensor([[1.0], [2.0]]) + 0.5)


def test_noise_of_each_row_is_its_own() -> None:
    layer, x, noise = NoisyLinear(5, 4, generator=seeded()), randn(3, 5), randn(3, 9, seed=1)
    rows = torch.stack([layer(x[row], noise[row]) for row in range(3)])
    torch.testing.assert_close(layer(x, noise), rows)
    assert not torch.allclose(layer(x, noise[0]), rows)


def test_noisy_layers_start_as_in_the_paper() -> None:
    layer = NoisyLinear(100, 50, generator=seeded())
    assert 0.099 < layer.weight.abs().max() <= 0.1
    assert layer.bias.abs().max() <= 0.1
    torch.testing.assert_close(layer.weight_sigma, torch.full((50, 100), 0.05))
    torch.testing.assert_close(layer.bias_sigma, torch.full((50,), 0.05))


def test_the_mean_over_noise_is_the_layer_without_it() -> None:
    layer, x = NoisyLinear(3, 2, generator=seeded()), randn(1, 3)
    noise = torch.cat([randn(20_000, 5), -randn(20_000, 5)])
    torch.testing.assert_close(layer(x.expand(40_000, 3), noise).mean(0), layer(x)[0], rtol=0, atol=0.02)


# -- Q-networks


def test_dueling_by_hand() -> None:
    net = QNetwork(gym.spaces.Box(-1, 1, (1,)), CHOICE, hidden_sizes=(), dueling=True)
    assert net.value is not None
    set_layer(net.value.layers[0], weight=[[2.0]], bias=[1.0])
    set_layer(net.advantage.layers[0], weight=[[1.0], [2.0], [6.0]], bias=[0.0, 0.0, 3.0])
    # At 1: value 3, advantages 1, 2, 9 of mean 4. At 0: value 1, advantages 0, 0, 3 of mean 1.
    expected = torch.tensor([[0.0, 1.0, 8.0], [0.0, 0.0, 3.0]])
    torch.testing.assert_close(net.q(torch.tensor([[1.0], [0.0]])), expected)


def test_dueling_by_hand_for_each_atom() -> None:
    net = QNetwork(gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2), hidden_sizes=(), dueling=True, atoms=3)
    assert net.value is not None
    set_layer(net.value.layers[0], weight=[[1.0], [2.0], [3.0]], bias=[0.0, 0.0, 0.0])
    # Action after action: atoms of the first, then of the second.
    set_layer(net.advantage.layers[0], weight=[[0.0], [1.0], [2.0], [4.0], [1.0], [-2.0]], bias=[0.0] * 6)
    expected = torch.tensor([[1.0 - 2.0, 2.0 + 0.0, 3.0 + 2.0], [1.0 + 2.0, 2.0 + 0.0, 3.0 - 2.0]])
    torch.testing.assert_close(net.q(torch.tensor([1.0])), expected)


def weights(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in net.named_parameters() if name.endswith("weight")}


def test_streams_have_the_last_hidden_layer_to_themselves() -> None:
    assert weights(QNetwork(VECTOR, CHOICE, hidden_sizes=(16, 8), dueling=True)) == {
        "trunk.layers.0.weight": (16, 4),
        "value.layers.0.weight": (8, 16),
        "value.layers.1.weight": (1, 8),
        "advantage.layers.0.weight": (8, 16),
        "advantage.layers.1.weight": (3, 8),
    }


def test_one_hidden_layer_of_512_on_images_is_the_network_of_mnih() -> None:
    atari, six = gym.spaces.Box(0, 255, (4, 84, 84), dtype="uint8"), gym.spaces.Discrete(6)
    count = 4 * 64 * 32 + 32 + 32 * 16 * 64 + 64 + 64 * 9 * 64 + 64 + 3136 * 512 + 512 + 512 * 6 + 6
    for hidden in [(512,), ()]:
        assert sum(p.numel() for p in QNetwork(atari, six, hidden_sizes=hidden).parameters()) == count


@pytest.mark.parametrize("space", [VECTOR, ATARI], ids=["vector", "image"])
@pytest.mark.parametrize("atoms", [1, 7])
def test_outputs_keep_the_leading_axes(space: gym.Space, atoms: int) -> None:
    net = QNetwork(space, CHOICE, hidden_sizes=(8,), dueling=True, noisy=True, atoms=atoms)
    for lead in [(), (3,), (2, 3)]:
        obs = observe(space, *lead)
        shape = (*lead, 3) if atoms == 1 else (*lead, 3, atoms)
        assert net.q(obs).shape == net.q(obs, randn(net.noise_size)).shape == shape


def test_every_number_of_the_noise_has_one_place() -> None:
    net = QNetwork(VECTOR, CHOICE, hidden_sizes=(6, 5), dueling=True, noisy=True, generator=seeded())
    assert net.noise_size == (4 + 6) + (6 + 5) + (5 + 1) + (6 + 5) + (5 + 3)
    noise = (randn(net.noise_size) + 3.0).requires_grad_()
    net.q(observe(VECTOR, 20), noise).square().sum().backward()
    assert noise.grad is not None
    assert int((noise.grad != 0).sum()) >= net.noise_size - 8  # units that are off pass nothing
    assert QNetwork(VECTOR, CHOICE).noise_size == 0


def test_layers_start_as_torchs_do_and_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (
        QNetwork(ATARI, CHOICE, hidden_sizes=(64, 64), generator=seeded(seed)).state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) and not torch.equal(first[name], other[name]) for name in first)
    for name, value in first.items():
        weight = first[name.replace("bias", "weight")]
        bound = weight[0].numel() ** -0.5
        assert 0.7 * bound < value.abs().max() <= bound, name


def test_other_actions_are_refused() -> None:
    with pytest.raises(UserError, match="Discrete"):
        QNetwork(VECTOR, TORQUE)
