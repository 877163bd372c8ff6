"""Convolutional networks for images: [..., channels, height, width] float -> features [..., size].

They have no buffers, dropout or batch normalisation: they work under `vmap`, and seeds do not interact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tuneexp.errors import UserError
from tuneexp.models.mlp import HIDDEN_GAIN, linear
from tuneexp.models.uninitialised import uninitialised

NATURE_LAYERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # filters, kernel, stride
NATURE_FEATURES = 512
NATURE_SMALLEST = 36  # the last of its convolutions has one output there
IMPALA_DEPTHS = (16, 32, 32)
IMPALA_FEATURES = 256


def conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    *,
    orthogonal_gain: float | None,
    generator: torch.Generator | None,
) -> nn.Conv2d:
    """Convolution initialised from `generator`: orthogonal with zero biases, or as torch by default."""
    layer = uninitialised(nn.Conv2d, in_channels, out_channels, kernel, stride=stride, padding=padding)
    assert layer.bias is not None
    if orthogonal_gain is not None:
        nn.init.orthogonal_(layer.weight, orthogonal_gain, generator=generator)
        nn.init.zeros_(layer.bias)
        return layer
    bound = (in_channels * kernel * kernel) ** -0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def over_batch(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Apply `function`, which needs exactly one batch axis, to images [..., C, H, W]."""
    lead = images.shape[:-3]
    out = function(images.reshape(math.prod(lead), *images.shape[-3:]))
    return out.reshape(*lead, *out.shape[1:])


class NatureCNN(nn.Module):
    """Nature CNN: three convolutions and a hidden layer of 512. shape: (channels, height, width).

    Mnih et al. 2015 (doi:10.1038/nature14236), methods, "Model architecture". `features` None leaves out the hidden
    layer: `size` is then the number of outputs of the last convolution.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        features: int | None = NATURE_FEATURES,
        ortho_init: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        channels, *image = shape
        gain = HIDDEN_GAIN if ortho_init else None
        if min(image) < NATURE_SMALLEST:
            raise UserError(
                f"images of {image[0]}x{image[1]} are too small for the Nature CNN, which needs "
                f"{NATURE_SMALLEST}x{NATURE_SMALLEST}; use cnn: impala, or larger images"
            )
        layers: list[nn.Module] = []
        for filters, kernel, stride in NATURE_LAYERS:
            layers.append(conv(channels, filters, kernel, stride, orthogonal_gain=gain, generator=generator))
            layers.append(nn.ReLU())
            channels = filters
            image = [(side - kernel) // stride + 1 for side in image]
        layers.append(nn.Flatten())
        self.size = channels * image[0] * image[1]
        if features is not None:
            layers += [linear(self.size, features, orthogonal_gain=gain, generator=generator), nn.ReLU()]
            self.size = features
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return over_batch(self.layers, images)


class _Residual(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, channels: int, gain: float | None, generator: torch.Generator | None) -> None:
        super().__init__()
        self.first = conv(channels, channels, 3, padding=1, orthogonal_gain=gain, generator=generator)
        self.second = conv(channels, channels, 3, padding=1, orthogonal_gain=gain, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x.relu()).relu())


class ImpalaResNet(nn.Module):
    """IMPALA ResNet: three blocks of a convolution, a halving maximum and two residual blocks; a hidden layer of 256.

    Espeholt et al. 2018 (arXiv:1802.01561), figure 3 right, without its LSTM. Works on images of any size. shape:
    (channels, height, width). `features` None leaves out the hidden layer, as in `NatureCNN`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        features: int | None = IMPALA_FEATURES,
        ortho_init: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        channels, *image = shape
        self.small = min(image) < NATURE_SMALLEST
        gain = HIDDEN_GAIN if ortho_init else None
        layers: list[nn.Module] = []
        for depth in IMPALA_DEPTHS:
            layers.append(conv(channels, depth, 3, padding=1, orthogonal_gain=gain, generator=generator))
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
            layers += [_Residual(depth, gain, generator), _Residual(depth, gain, generator)]
            channels = depth
            image = [(side - 1) // 2 + 1 for side in image]
        layers += [nn.ReLU(), nn.Flatten()]
        self.size = channels * image[0] * image[1]
        if features is not None:
            layers += [linear(self.size, features, orthogonal_gain=gain, generator=generator), nn.ReLU()]
            self.size = features
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return over_batch(self.layers, images)


def faster_in_turn(model: nn.Module) -> bool:
    """True if a loop over seeds is faster than `vmap`, which turns convolutions into grouped ones.

    Measured with gradients on one core (4 seeds of 32 rows, milliseconds, loop against vmap): Nature at 84x84 78
    against 139 compiled and 131 against 180 eager, but IMPALA at 7x7 12.8 against 10.0.
    """
    nets = [net for net in model.modules() if isinstance(net, ImpalaResNet) and net.small]
    small = {id(layer) for net in nets for layer in net.modules()}
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.modules.conv._ConvNd)]
    return any(id(layer) not in small for layer in convolutions)
