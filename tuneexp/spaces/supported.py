"""Check that an environment's spaces are supported."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete

from tuneexp.errors import UserError
from tuneexp.spaces.packing import layout

OBSERVATIONS = "Box, Discrete and Dict"
ACTIONS = "Discrete, MultiDiscrete and Box"


def check_spaces(observation: Space[Any], action: Space[Any], env: str) -> None:
    """Check both spaces of an environment.

    Args:
        observation: as the environment declares it.
        action: as the environment declares it.
        env: name of the environment, for the message.

    Raises:
        UserError: a space is not supported; the message names those that are.
    """
    if isinstance(observation, Dict):
        try:
            layout(observation)
        except UserError as error:
            raise UserError(f"{env}: {error}") from None
    elif not isinstance(observation, (Box, Discrete)):
        raise _unsupported(env, "observation", observation, OBSERVATIONS, _flatter(observation))
    if not isinstance(action, (Discrete, MultiDiscrete, Box)):
        other = (
            f"offers {MultiDiscrete(np.full(action.n, 2).ravel())}"
            if isinstance(action, MultiBinary)
            else "offers one of these"
        )
        raise _unsupported(env, "action", action, ACTIONS, _wrapper_of_ones_own("ActionWrapper", other))
    if isinstance(action, MultiDiscrete) and action.nvec.ndim != 1:
        raise UserError(
            f"{env}: MultiDiscrete actions of shape {action.nvec.shape} are not supported; use one dimension"
        )
    if isinstance(action, Box) and not np.issubdtype(action.dtype, np.floating):
        raise UserError(f"{env}: Box actions of type {action.dtype} are not supported; use float32 or MultiDiscrete")


def _unsupported(env: str, what: str, space: Space[Any], supported: str, advice: str) -> UserError:
    name = type(space).__name__
    return UserError(f"{env}: {what} space {name} is not supported; supported: {supported}\n{advice}")


def _flatter(observation: Space[Any]) -> str:
    if observation.is_np_flattenable:
        return "write --wrapper FlattenObservation (wrappers=['FlattenObservation'] in Python), which makes it a Box"
    kind = type(observation).__name__
    return f"a {kind} has no fixed size: " + _wrapper_of_ones_own("ObservationWrapper", "gives a padded Box, say")


def _wrapper_of_ones_own(base: str, does: str) -> str:
    return f"write a gymnasium.{base} that {does}, and name it with --wrapper my_file.py:Class"
