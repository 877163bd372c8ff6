"""Which spaces are supported, and their plain form: discrete values always count from 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from numpy.typing import NDArray

from tuneexp.errors import UserError
from tuneexp.rl.packing import layout

OBSERVATIONS = "Box, Discrete and Dict"
ACTIONS = "Discrete, MultiDiscrete and Box"


def check_spaces(observation: Space[Any], action: Space[Any], env: str) -> None:
    """Raises `UserError` that names what is supported where a space of `env` is not."""
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


def plain(space: Space[Any]) -> Space[Any]:
    """`space` with its discrete values counted from 0: what networks see and heads choose from."""
    if isinstance(space, Discrete):
        return Discrete(int(space.n))
    if isinstance(space, MultiDiscrete):
        return MultiDiscrete(space.nvec, dtype=space.dtype)
    if isinstance(space, Dict):
        return Dict([(key, plain(part)) for key, part in space.spaces.items()])
    return space


def start_of(space: Space[Any]) -> Any:
    """What to add to a plain value of `space` to get its own; None where that is nothing."""
    start = getattr(space, "start", None)
    return start if start is not None and np.any(start) else None


def action_conversion(space: Space[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """From flat plain actions [S * N, ...] to what the environment takes. Box actions are clipped to their bounds;
    the function raises ValueError for a discrete one that is outside of its space."""
    start, dtype = start_of(space), np.dtype(space.dtype)
    if isinstance(space, Box):
        low, high = space.low, space.high
        return lambda a: np.minimum(np.maximum(a, low), high).astype(dtype, copy=False)
    limit: Any = int(space.n) if isinstance(space, Discrete) else space.nvec  # type: ignore[attr-defined]
    unsigned = np.dtype(f"u{dtype.itemsize}")

    def convert(action: NDArray[Any]) -> NDArray[Any]:
        whole = action.astype(dtype, copy=False)
        # As an unsigned number a negative one is huge: one comparison checks both ends.
        if not (whole.view(unsigned) < limit).all():
            raise ValueError(f"an action is outside of {plain(space)}: {whole}")
        return whole if start is None else whole + start

    return convert
