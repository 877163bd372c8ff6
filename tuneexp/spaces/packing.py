"""Layout of dictionary observations as one flat array.

Environments pack, models split again; both use this module. Leaves come in the order of `gymnasium.spaces.Dict` (sorted
keys), nested dictionaries in place, with the keys of a path joined by "/". Each leaf is flattened row by row (C order).
Pure functions of the space; no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from tuneexp.errors import UserError

LeafSpace = gym.spaces.Box | gym.spaces.Discrete | gym.spaces.MultiBinary | gym.spaces.MultiDiscrete


@dataclass(frozen=True)
class Leaf:
    """Numbers `start : start + size` of a packed observation.

    name: the path, "camera" or "arm/joints". shape: of the leaf in its environment, () for a Discrete, whose one number
    is its index. Discrete and MultiDiscrete leaves count from 0 in the packed array, whatever the space's own `start`.
    """

    name: str
    start: int
    size: int
    shape: tuple[int, ...]
    space: LeafSpace


def layout(space: gym.spaces.Dict) -> list[Leaf]:
    """Return the leaves of a packed observation, in order, without gaps.

    Raises:
        UserError: a leaf can't be packed, or there is no number in the space.
    """
    leaves: list[Leaf] = []
    start = 0
    for name, leaf in _leaves(space, ""):
        shape = tuple(leaf.shape or ())
        leaves.append(Leaf(name, start, math.prod(shape), shape, leaf))
        start += leaves[-1].size
    if not start:
        raise UserError("a Dict observation space has no numbers in it; give it at least one Box or Discrete")
    return leaves


def packed_size(space: gym.spaces.Dict) -> int:
    """Return the length of the flat array."""
    return sum(leaf.size for leaf in layout(space))


def packed_dtype(space: gym.spaces.Dict) -> type[np.generic]:
    """Return the type of the flat array: uint8 if every leaf holds whole numbers in 0..255 only, else float32.

    Images keep their size that way."""
    return np.uint8 if all(_fits_a_byte(leaf.space) for leaf in layout(space)) else np.float32


def _fits_a_byte(space: LeafSpace) -> bool:
    if isinstance(space, gym.spaces.Box):
        return space.dtype == np.uint8
    if isinstance(space, gym.spaces.Discrete):
        return int(space.n) <= 256
    return isinstance(space, gym.spaces.MultiBinary) or bool((space.nvec <= 256).all())


def _leaves(space: gym.Space[Any], path: str) -> Iterator[tuple[str, LeafSpace]]:
    if isinstance(space, gym.spaces.Dict):
        for key, part in space.spaces.items():
            yield from _leaves(part, f"{path}/{key}" if path else str(key))
    elif isinstance(space, LeafSpace):
        yield path, space
    else:
        raise UserError(
            f"observation {path!r} of {space} can't be packed; Box, Discrete, MultiDiscrete, MultiBinary and Dict can\n"
            + (
                "write --wrapper FlattenObservation, which makes one Box of all observations"
                if space.is_np_flattenable
                else 'leave it out: --wrapper \'FilterObservation={"filter_keys": ["the", "other", "keys"]}\''
            )
        )
