"""From what vector environments give to one array of one type; dictionaries are packed into one flat axis."""

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
    """Reads observations of one space.

    space: in plain form (discrete values count from 0); a Dict stays a Dict, so that models can split what is packed.
    shape, dtype: of one environment's array. Floating point becomes float32, other types are kept; a Dict gives
    [D], its leaves as `spaces/packing.py` lays them out, uint8 where everything in it fits a byte, else float32. With
    `exact`, float64 stays float64, for what is normalised: a large mean must be subtracted before digits are lost.
    floating: whether values may be NaN or infinite."""

    def __init__(self, space: Space[Any], exact: bool = False) -> None:
        self._raw, self.space = space, zero_based(space)
        self._start = start_of(space)
        if isinstance(space, Dict):
            self._leaves = layout(space)
            self.shape: tuple[int, ...] = (self._leaves[-1].start + self._leaves[-1].size,)
            self.dtype = np.dtype(packed_dtype(space))
            self.floating = self.dtype == np.float32
            doubles = any(leaf.space.dtype == np.float64 for leaf in self._leaves)
        else:
            self.shape = tuple(space.shape or ())
            self.floating = isinstance(space, Box) and bool(np.issubdtype(space.dtype, np.floating))
            self.dtype = np.dtype(np.float32) if self.floating else np.dtype(space.dtype)
            doubles = space.dtype == np.float64
        if exact and self.floating and doubles:
            self.dtype = np.dtype(np.float64)

    def batch(self, raw: Any, rows: int) -> NDArray[Any]:
        """`rows` environments' observations, as their vector environment gives them -> a fresh [rows, *shape]."""
        if isinstance(self._raw, Dict):
            return self._packed(raw, rows)
        # Native environments hand out transposed views: in C order they are what they look like.
        obs = np.array(raw, dtype=self.dtype, order="C").reshape(rows, *self.shape)
        if self._start is not None:
            obs -= self._start
        return obs

    def singles(self, raw: Sequence[Any]) -> NDArray[Any]:
        """Observations of single environments -> [len(raw), *shape]."""
        return np.concatenate([self.batch(one, 1) for one in raw])

    def _packed(self, raw: Any, rows: int) -> NDArray[Any]:
        packed = np.empty((rows, *self.shape), self.dtype)
        for leaf, value, start in zip(self._leaves, _values(raw, self._raw), _starts(self._raw), strict=True):
            flat = np.asarray(value).reshape(rows, leaf.size)
            packed[:, leaf.start : leaf.start + leaf.size] = flat if start is None else flat - np.ravel(start)
        return packed


def _values(raw: Any, space: Space[Any]) -> Iterator[Any]:
    """The leaves of a dictionary, in the order of `layout`."""
    if isinstance(space, Dict):
        for key, part in space.spaces.items():
            yield from _values(raw[key], part)
    else:
        yield raw


def _starts(space: Space[Any]) -> Iterator[Any]:
    if isinstance(space, Dict):
        for part in space.spaces.values():
            yield from _starts(part)
    else:
        yield start_of(space)


def join(parts: Sequence[Any]) -> Any:
    """Observations of several vector environments, arrays or nested dictionaries of them, one after another."""
    if isinstance(parts[0], dict):
        return {key: join([part[key] for part in parts]) for key in parts[0]}
    return np.concatenate(parts)


def some_rows(raw: Any, rows: slice) -> Any:
    """Part of what `join` gave."""
    return {key: some_rows(part, rows) for key, part in raw.items()} if isinstance(raw, dict) else raw[rows]
