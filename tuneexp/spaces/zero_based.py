"""Zero-based form of spaces: their discrete values count from 0, whatever the space's own `start`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from numpy.typing import NDArray


def zero_based(space: Space[Any]) -> Space[Any]:
    """Return `space` with its discrete values counted from 0, as networks see and choose them."""
    if isinstance(space, Discrete):
        return Discrete(int(space.n))
    if isinstance(space, MultiDiscrete):
        return MultiDiscrete(space.nvec, dtype=space.dtype)
    if isinstance(space, Dict):
        return Dict([(key, zero_based(part)) for key, part in space.spaces.items()])
    return space


def start_of(space: Space[Any]) -> Any:
    """Return the offset from zero-based values to the values of `space`; None where all offsets are 0."""
    start = getattr(space, "start", None)
    return start if start is not None and np.any(start) else None


def action_conversion(space: Space[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the function from zero-based actions [S * N, ...] to actions of the environment.

    It clips Box actions to their bounds. It raises ValueError for a discrete action outside of its space.
    """
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
            raise ValueError(f"an action is outside of {zero_based(space)}: {whole}")
        return whole if start is None else whole + start

    return convert
