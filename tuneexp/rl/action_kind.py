"""Kinds of action spaces. Needs no torch, so that an algorithm that does not fit an environment is told at once."""

from __future__ import annotations

from typing import Literal

import gymnasium as gym
import numpy as np

from tuneexp.errors import UserError

ActionKind = Literal["discrete", "multi_discrete", "continuous"]


def action_kind(action_space: gym.Space) -> ActionKind:
    """Raises `UserError` for a space that no policy here can act in."""
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
    """Raises `UserError` where actions aren't the numbers that state-dependent exploration adds noise to."""
    if action_kind(space) != "continuous":
        raise UserError(f"use_sde explores in continuous action spaces; this is {space}: write use_sde=false")
