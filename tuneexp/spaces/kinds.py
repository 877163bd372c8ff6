"""Kinds of spaces: discrete, multi-discrete or continuous actions, and images.

Imports no torch, so that an algorithm that does not fit an environment is refused at once."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np

from tuneexp.errors import UserError

ActionKind = Literal["discrete", "multi_discrete", "continuous"]


def action_kind(action_space: gym.Space) -> ActionKind:
    """Return the kind of an action space.

    Raises:
        UserError: no policy can act in it.
    """
    if isinstance(action_space, gym.spaces.Discrete):
        return "discrete"
    if isinstance(action_space, gym.spaces.MultiDiscrete) and action_space.nvec.ndim == 1:
        return "multi_discrete"
    if isinstance(action_space, gym.spaces.Box) and np.issubdtype(action_space.dtype, np.floating):
        return "continuous"
    raise UserError(
        f"actions of {action_space} are not supported; use an environment whose actions are Discrete, "
        "a one-dimensional MultiDiscrete, or a Box of floats"
    )


def require_continuous(space: gym.Space) -> None:
    """Check that state-dependent exploration (gSDE) can add its noise to the actions.

    Raises:
        UserError: the action space is not continuous.
    """
    if action_kind(space) != "continuous":
        raise UserError(f"use_sde explores in continuous action spaces; this is {space}: write use_sde=false")


def is_image(space: gym.Space[Any]) -> bool:
    """True for a Box of bytes with three axes. Any other space with numbers in it is a vector."""
    return isinstance(space, gym.spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3
