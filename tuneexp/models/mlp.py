"""Multi-layer perceptrons, with explicit initialisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tuneexp.errors import unknown_name
from tuneexp.models.uninitialised import uninitialised

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}

HIDDEN_GAIN = 2.0**0.5


def activation_class(name: str) -> type[nn.Module]:
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def linear(
    in_features: int,
    out_features: int,
    *,
    orthogonal_gain: float | None,
    generator: torch.Generator | None = None,
) -> nn.Linear:
    """Linear layer initialised from `generator`.

    With a gain: orthogonal weights (Saxe et al. 2014, arXiv:1312.6120) and zero biases. Without: uniform within
    1/sqrt(in_features), as `nn.Linear`, which takes no generator.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        orthogonal_gain: Gain of orthogonal weights. None: uniform weights.
        generator: Random generator. None: torch's default.

    Returns:
        The layer.
    """
    layer = uninitialised(nn.Linear, in_features, out_features)
    if orthogonal_gain is not None:
        nn.init.orthogonal_(layer.weight, orthogonal_gain, generator=generator)
        nn.init.zeros_(layer.bias)
        return layer
    bound = in_features**-0.5 if in_features else 0.0
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


class MLP(nn.Module):
    """[..., in_size] -> [..., out_size], through hidden layers that each end in the activation.

    `out_size` None leaves out the last linear layer: the output is the last hidden layer's (a trunk for heads), or the
    input itself where there is no hidden layer. `out_gain` is the orthogonal gain of the last layer. `layer_norm`
    normalises each hidden layer before its activation: Ba et al. 2016 (arXiv:1607.06450), eq. 3.
    """

    def __init__(
        self,
        in_size: int,
        hidden_sizes: Sequence[int],
        out_size: int | None = None,
        *,
        activation: str = "tanh",
        ortho_init: bool = True,
        out_gain: float = 1.0,
        layer_norm: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        make_activation = activation_class(activation)
        layers: list[nn.Module] = []
        size = in_size
        for hidden in hidden_sizes:
            gain = HIDDEN_GAIN if ortho_init else None
            layers.append(linear(size, hidden, orthogonal_gain=gain, generator=generator))
            if layer_norm:
                layers.append(nn.LayerNorm(hidden))
            layers.append(make_activation())
            size = hidden
        if out_size is not None:
            gain = out_gain if ortho_init else None
            layers.append(linear(size, out_size, orthogonal_gain=gain, generator=generator))
            size = out_size
        self.out_size = size
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    @property
    def latent_size(self) -> int:
        """Number of inputs of the last linear layer."""
        return self.layers[-1].in_features  # type: ignore[return-value]

    def with_latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Output and last hidden layer, [..., latent_size]; needs `out_size`."""
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x)
        return last(x), x
