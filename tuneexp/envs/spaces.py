"""Which spaces are supported, and their plain form: discrete values always count from 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from tuneexp.errors import UserError

OBSERVATIONS = "Box and Discrete"
ACTIONS = "Discrete, MultiDiscrete and Box"


def check_spaces(observation: Space[Any], action: Space[Any], env: str) -> None:
    """Raises `UserError` that names what is supported where a space of `env` is not."""
    if not isinstance(observation, (Box, Discrete)):
        raise _unsupported(env, "observation", observation, OBSERVATIONS, "gymnasium.wrappers.FlattenObservation")
    if not isinstance(action, (Discrete, MultiDiscrete, Box)):
        raise _unsupported(env, "action", action, ACTIONS, "gymnasium.wrappers.TransformAction")
    if isinstance(action, MultiDiscrete) and action.nvec.ndim != 1:
        raise UserError(
            f"{env}: MultiDiscrete actions of shape {action.nvec.shape} are not supported; use one dimension"
        )
    if isinstance(action, Box) and not np.issubdtype(action.dtype, np.floating):
        raise UserError(f"{env}: Box actions of type {action.dtype} are not supported; use float32 or MultiDiscrete")


def _unsupported(env: str, what: str, space: Space[Any], supported: str, wrapper: str) -> UserError:
    return UserError(
        f"{env}: {what} space {type(space).__name__} is not supported; supported: {supported}\n"
        f"wrap the environment ({wrapper}) so that it offers one of these"
    )


def plain(space: Space[Any]) -> Space[Any]:
    """`space` with its discrete values counted from 0: what networks see and heads choose from."""
    if isinstance(space, Discrete):
        return Discrete(int(space.n))
    if isinstance(space, MultiDiscrete):
        return MultiDiscrete(space.nvec, dtype=space.dtype)
    return space


def start_of(space: Space[Any]) -> Any:
    """What to add to a plain value of `space` to get its own; None where that is nothing."""
    start = getattr(space, "start", None)
    return start if start is not None and np.any(start) else None
