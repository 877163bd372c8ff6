"""Initialisation of layers from the given generator."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tuneexp.errors import UserError
from tuneexp.models.mlp import MLP, linear


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("n_in", "n_out"), [(8, 8), (8, 3), (3, 8)])
def test_orthogonal_weights_have_the_gain_as_their_only_singular_value(n_in: int, n_out: int) -> None:
    layer = linear(n_in, n_out, orthogonal_gain=2.0, generator=seeded())
    torch.testing.assert_close(torch.linalg.svdvals(layer.weight), torch.full((min(n_in, n_out),), 2.0))
    assert layer.bias.abs().max() == 0


def test_without_a_gain_weights_and_biases_fill_the_range_of_torch() -> None:
    layer = linear(16, 500, orthogonal_gain=None, generator=seeded())
    for values in (layer.weight, layer.bias):
        assert 0.24 < values.abs().max() <= 0.25  # 1 / sqrt(16)
        assert abs(values.mean()) < 0.02


def test_the_layers_of_an_mlp_and_their_gains() -> None:
    net = MLP(4, (16, 8), 2, activation="relu", out_gain=0.01, generator=seeded())
    kinds = [type(layer) for layer in net.layers]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    weights = [value for name, value in net.state_dict().items() if name.endswith("weight")]
    largest = [float(torch.linalg.svdvals(weight)[0]) for weight in weights]
    assert largest == pytest.approx([2**0.5, 2**0.5, 0.01], rel=1e-5)
    assert net.out_size == 2


def test_an_mlp_computes_what_its_weights_say() -> None:
    net = MLP(2, (3,), 1, generator=seeded())
    first, last = net.layers[0], net.layers[2]
    x = torch.randn(5, 2, generator=seeded(1))
    expected = torch.tanh(x @ first.weight.T + first.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(net(x), expected)


def test_a_trunk_ends_in_its_last_hidden_layer_and_an_empty_one_is_the_identity() -> None:
    trunk = MLP(4, (16, 8), generator=seeded())
    assert trunk.out_size == 8
    assert trunk(torch.zeros(3, 4)).shape == (3, 8)
    nothing, x = MLP(4, ()), torch.randn(3, 4)
    assert nothing.out_size == 4
    assert torch.equal(nothing(x), x)


@pytest.mark.parametrize("ortho_init", [True, False])
def test_weights_depend_on_the_generator_alone(ortho_init: bool) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (
        MLP(4, (8,), 2, ortho_init=ortho_init, generator=seeded(s)).layers[0].weight for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_unknown_activation_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"'than'.* 'tanh'"):
        MLP(4, (8,), 2, activation="than")
