"""Encoder: observations of any supported space -> one feature vector."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, cast

import gymnasium as gym
import torch
from torch import Tensor, nn

from tuneexp.errors import UserError, unknown_name
from tuneexp.models.cnn import IMPALA_FEATURES, NATURE_FEATURES, NATURE_SMALLEST, ImpalaResNet, NatureCNN
from tuneexp.spaces.kinds import is_image
from tuneexp.spaces.packing import Leaf, layout
from tuneexp.spaces.zero_based import zero_based

CNNS: dict[str, type[NatureCNN] | type[ImpalaResNet]] = {"nature": NatureCNN, "impala": ImpalaResNet}
CNN_FEATURES = {"nature": NATURE_FEATURES, "impala": IMPALA_FEATURES}
# Features per image of a Dict, as in Stable-Baselines3's CombinedExtractor.
DICT_IMAGE_FEATURES = 256


def channels_first(shape: Sequence[int]) -> bool:
    """True if the channels of an image are its first axis, False for its last: the shorter one. Raises `UserError`."""
    first, middle, last = shape
    if first == last or middle < min(first, last):
        raise UserError(
            f"in images of shape {tuple(shape)} neither the first nor the last axis is clearly the channel axis; "
            "make them [channels, height, width] or [height, width, channels], with fewer channels than rows"
        )
    return first < last


def planes(shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) of an image."""
    first, middle, last = shape
    return (first, middle, last) if channels_first(shape) else (last, first, middle)


def cnn_for(shape: Sequence[int], cnn: str) -> str:
    """Name of the CNN; resolves "auto" by the size of the image."""
    if cnn != "auto":
        return cnn
    return "nature" if min(planes(shape)[1:]) >= NATURE_SMALLEST else "impala"


def hidden_sizes_for(
    observation_space: gym.Space[Any], given: Sequence[int] | None, otherwise: Sequence[int], images: Sequence[int]
) -> tuple[int, ...]:
    """`given`, or if None the default: `images` for images, `otherwise` for other spaces."""
    if given is not None:
        return tuple(given)
    return tuple(images if is_image(observation_space) else otherwise)


class Encoder(nn.Module):
    """Observations [..., *shape] -> features float32 [..., size].

    A Box is flattened, a Discrete is one-hot, an image (a Box of bytes with three axes, channels first or last) goes
    through a CNN, scaled to [0, 1]. A Dict comes packed into one flat axis (`spaces/packing.py`): each of its leaves is
    treated so, and the results lie side by side in the order of the leaves, but for those named in `leave_out`.

    cnn: "nature" (`NatureCNN`), "impala" (`ImpalaResNet`), or "auto": the first where images are large
    enough for it (36x36), else the second. cnn_features: units of the hidden layer that ends each CNN, 0 for none;
    None: 512 ("nature") or 256 ("impala"), in a Dict 256. Spaces without images have no parameters here.
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        *,
        cnn: str = "auto",
        cnn_features: int | None = None,
        ortho_init: bool = True,
        leave_out: Collection[str] = (),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if cnn != "auto" and cnn not in CNNS:
            raise unknown_name("cnn", cnn, ["auto", *CNNS])

        def part(space: gym.Space[Any]) -> nn.Module:
            if not is_image(space):
                return FlatObservation(space)
            name = cnn_for(space.shape or (), cnn)
            own = DICT_IMAGE_FEATURES if isinstance(observation_space, gym.spaces.Dict) else CNN_FEATURES[name]
            features = own if cnn_features is None else cnn_features
            return ImageEncoder(space.shape or (), name, features, ortho_init, generator)

        self.leaves: list[Leaf] | None = None
        if isinstance(observation_space, gym.spaces.Dict):
            self.leaves = [leaf for leaf in layout(observation_space) if leaf.name not in leave_out]
            self.parts = nn.ModuleList([part(zero_based(leaf.space)) for leaf in self.leaves])
        else:
            self.parts = nn.ModuleList([part(observation_space)])
        self.size = sum(cast(int, part.size) for part in self.parts)
        if not self.size:
            raise UserError(f"there is nothing to learn from in observations of {observation_space}")

    def forward(self, obs: Tensor) -> Tensor:
        if self.leaves is None:
            return self.parts[0](obs)
        features = [part(_leaf_of(obs, leaf)) for leaf, part in zip(self.leaves, self.parts, strict=True)]
        return torch.cat(features, dim=-1)


def _leaf_of(packed: Tensor, leaf: Leaf) -> Tensor:
    """packed: [..., packed_size]. Returns [..., *leaf.shape]."""
    return packed[..., leaf.start : leaf.start + leaf.size].reshape(*packed.shape[:-1], *leaf.shape)


class ImageEncoder(nn.Module):
    """Bytes [..., *shape] -> features [..., size], through the CNN of that name. features: units of its hidden layer,
    0 for none."""

    def __init__(
        self, shape: Sequence[int], cnn: str, features: int, ortho_init: bool, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.channels_first = channels_first(shape)
        self.cnn = CNNS[cnn](planes(shape), features=features or None, ortho_init=ortho_init, generator=generator)
        self.size = self.cnn.size

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.to(torch.float32) * (1.0 / 255.0)
        return self.cnn(scaled if self.channels_first else scaled.movedim(-1, -3))


class FlatObservation(nn.Module):
    """Observations [..., *shape] -> float32 [..., size]: a Box or MultiBinary is flattened, a Discrete is one-hot, a
    MultiDiscrete one-hot for each of its choices.

    It has neither parameters nor buffers: a seed axis has nothing to stack here.
    """

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__()
        self.classes: list[int] = []
        self.first = 0
        self.shape: tuple[int, ...] = ()
        if isinstance(observation_space, gym.spaces.Discrete):
            self.classes, self.first = [int(observation_space.n)], int(observation_space.start)
        elif isinstance(observation_space, gym.spaces.MultiDiscrete):
            self.classes = [int(n) for n in observation_space.nvec.flat]
            self.shape = tuple(observation_space.shape)
        elif isinstance(observation_space, gym.spaces.Box | gym.spaces.MultiBinary):
            self.shape = tuple(observation_space.shape)
        else:
            raise UserError(
                f"observations of {observation_space} are not supported; use an environment whose observations "
                "are a Box or Discrete, or a Dict of them (gymnasium.wrappers.FlattenObservation makes a Box of most "
                "others)"
            )
        self.size = sum(self.classes) if self.classes else math.prod(self.shape)

    def forward(self, obs: Tensor) -> Tensor:
        if self.classes:
            choices = [obs] if not self.shape else obs.flatten(-len(self.shape)).unbind(-1)
            one_hot = [_one_hot(c, self.first, n) for c, n in zip(choices, self.classes, strict=True)]
            return one_hot[0] if len(one_hot) == 1 else torch.cat(one_hot, dim=-1)
        obs = obs.to(torch.float32)
        if len(self.shape) == 1:
            return obs
        return obs.flatten(-len(self.shape)) if self.shape else obs.unsqueeze(-1)


def _one_hot(values: Tensor, first: int, count: int) -> Tensor:
    # A comparison, not `one_hot`: that one looks at the data, which neither vmap nor tracing allows.
    index = torch.arange(first, first + count, device=values.device)
    return (values.unsqueeze(-1) == index).to(torch.float32)
