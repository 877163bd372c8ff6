"""Single observations and batches of them, by their space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from tuneexp.errors import UserError


def rows_of(obs: Any, space: gym.Space[Any]) -> int | None:
    """Return the number of observations of a batch; None for a single observation.

    Args:
        obs: An array, or nested mappings of arrays for a Dict.
        space: Space of one observation.

    Raises:
        UserError: It is neither, or has another type of numbers.
    """
    found = {name: _rows_of_leaf(name, value, leaf) for name, value, leaf in _pairs(obs, space, "")}
    if len(set(found.values())) > 1:
        shown = ", ".join(f"{name!r} {'single' if rows is None else rows}" for name, rows in found.items())
        raise UserError(f"the parts of the observation are batches of different sizes: {shown}")
    rows = next(iter(found.values()))
    if rows == 0:
        raise UserError("the batch holds no observation")
    return rows


def _pairs(obs: Any, space: gym.Space[Any], path: str) -> list[tuple[str, Any, gym.Space[Any]]]:
    if not isinstance(space, gym.spaces.Dict):
        return [(path, obs, space)]
    if not isinstance(obs, Mapping):
        what = f"part {path!r} of the observation" if path else "observation"
        raise UserError(f"the {what} is a mapping with {_listed(space)}, got {type(obs).__name__}")
    found = []
    for key, part in space.spaces.items():
        name = f"{path}/{key}" if path else str(key)
        if key not in obs:
            raise UserError(f"the observation lacks {name!r}; it is a mapping with {_listed(space)}")
        found += _pairs(obs[key], part, name)
    return found


def _listed(space: gym.spaces.Dict) -> str:
    return ", ".join(map(repr, space.spaces))


def _rows_of_leaf(name: str, value: Any, space: gym.Space[Any]) -> int | None:
    array, shape = np.asarray(value), tuple(space.shape or ())
    what = f"part {name!r} of the observation" if name else "observation"
    kinds = np.bool_ | np.number if np.issubdtype(space.dtype, np.floating) else np.bool_ | np.integer
    if not isinstance(array.flat[0] if array.size else np.True_, kinds):
        raise UserError(f"the {what} is of {array.dtype}, and its space is {space}; give it as the environment does")
    if array.shape == shape:
        return None
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
        return len(array)
    one, several = ("[" + ", ".join(map(str, axes)) + "]" for axes in (shape, ("N", *shape)))
    raise UserError(f"the {what} has the shape {list(array.shape)}; give {one}, or {several} for a batch")


def stacked(observations: Sequence[Any]) -> Any:
    """Return a batch of observations: an array [N, ...], or nested dictionaries of arrays."""
    if isinstance(observations[0], Mapping):
        return {key: stacked([one[key] for one in observations]) for key in observations[0]}
    return np.stack(observations)
