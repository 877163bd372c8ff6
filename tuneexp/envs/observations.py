"""Conversion of the observations of vector environments to one array; dictionaries are packed into one flat axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from tuneexp.spaces.packing import layout, packed_dtype
from tuneexp.spaces.zero_based import start_of, zero_based


class ObsReader:
    """Converts observations of one space to arrays.

    Args:
        space: Space of one environment.
        exact: Keep float64, for normalisation: a large mean must be subtracted before precision is lost.

    Attributes:
        space: `space` in zero-based form (discrete values count from 0). A Dict stays a Dict, which models split again.
        shape: Shape of one environment's array. A Dict gives [D], its leaves in the order of `spaces/packing.py`.
        dtype: Type of the array: float32 for floating point, else that of the space. A Dict is uint8 if every leaf
            fits into a byte, else float32.
        floating: True if values may be NaN or infinite."""

    def __init__(self, space: Space[Any], exact: bool = False) -> None:
        self._raw, self.space = space, zero_based(space)
        self._start = start_of(space)
        if isinstance(space, Dict):
            self.leaves = layout(space)
            self.shape: tuple[int, ...] = (self.leaves[-1].start + self.leaves[-1].size,)
            self.dtype = np.dtype(packed_dtype(space))
            self.floating = self.dtype == np.float32
            doubles = any(leaf.space.dtype == np.float64 for leaf in self.leaves)
        else:
            self.shape = tuple(space.shape or ())
            self.floating = isinstance(space, Box) and bool(np.issubdtype(space.dtype, np.floating))
            self.dtype = np.dtype(np.float32) if self.floating else np.dtype(space.dtype)
            doubles = space.dtype == np.float64
        if exact and self.floating and doubles:
            self.dtype = np.dtype(np.float64)

    def batch(self, raw: Any, rows: int) -> NDArray[Any]:
        """Return an array [rows, *shape] from the observations of a vector environment. It is always a copy."""
        if isinstance(self._raw, Dict):
            return self._packed(raw, rows)
        # Native environments hand out transposed views: in C order they are what they look like.
        obs = np.array(raw, dtype=self.dtype, order="C").reshape(rows, *self.shape)
        if self._start is not None:
            obs -= self._start
        return obs

    def singles(self, raw: Sequence[Any]) -> NDArray[Any]:
        """Return an array [len(raw), *shape] from observations of single environments."""
        return np.concatenate([self.batch(one, 1) for one in raw])

    def _packed(self, raw: Any, rows: int) -> NDArray[Any]:
        packed = np.empty((rows, *self.shape), self.dtype)
        for leaf, value, start in zip(self.leaves, leaf_values(raw, self._raw), leaf_starts(self._raw), strict=True):
            flat = np.asarray(value).reshape(rows, leaf.size)
            packed[:, leaf.start : leaf.start + leaf.size] = flat if start is None else flat - np.ravel(start)
        return packed


def leaf_values(raw: Any, space: Space[Any]) -> Iterator[Any]:
    """Yield the leaves of a dictionary in the order of `layout`."""
    if isinstance(space, Dict):
        for key, part in space.spaces.items():
            yield from leaf_values(raw[key], part)
    else:
        yield raw


def leaf_starts(space: Space[Any]) -> Iterator[Any]:
    """Yield the offset of zero-based values of each leaf, or None, in the order of `layout`."""
    if isinstance(space, Dict):
        for part in space.spaces.values():
            yield from leaf_starts(part)
    else:
        yield start_of(space)


def join(parts: Sequence[Any]) -> Any:
    """Concatenate observations (arrays or nested dictionaries of arrays) of several vector environments."""
    if isinstance(parts[0], dict):
        return {key: join([part[key] for part in parts]) for key in parts[0]}
    return np.concatenate(parts)


def some_rows(raw: Any, rows: slice) -> Any:
    """Return a slice of the rows of a result of `join`."""
    return {key: some_rows(part, rows) for key, part in raw.items()} if isinstance(raw, dict) else raw[rows]
