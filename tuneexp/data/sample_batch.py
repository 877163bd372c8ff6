"""`SampleBatch`: named columns of equal length, with named axes.

The leading axes of every column are the `axes` of the batch; the others are the shape of one entry. Axes in use:

- `FRAGMENT_AXES` ("time", "seed", "env"): a fragment of an env runner, [T, S, N, ...]. Along "time" row t + 1 of an
  environment follows row t; reset rows are kept, with `valid` False.
- `SEED_ROW_AXES` ("seed", "row"): training data of S seeds, [S, R, ...], in no particular order.
- `ROW_AXES` ("row",): rows without a seed axis, [R, ...]; in order of time if they come from one environment.

Usual columns: obs, next_obs, action, reward, terminated, truncated, valid, log_prob, value, advantage, value_target.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuneexp.errors import UserError, unknown_name

FRAGMENT_AXES = ("time", "seed", "env")
SEED_ROW_AXES = ("seed", "row")
ROW_AXES = ("row",)

CONTINUES = "continues"
"""Column [T, S, N] of fragments from a restarted runner: False on the first row of its restarted environments."""


class SampleBatch(Mapping[str, Tensor]):
    """Immutable mapping from column names to tensors [*sizes, ...]; operations return new batches.

    `len(batch)` counts columns, `batch.n_rows` counts entries.

    Args:
        columns: Name -> tensor or array; arrays share their memory.
        axes: Names of the leading axes.

    Raises:
        UserError: no columns, or columns of unequal length.
    """

    def __init__(self, columns: Mapping[str, Any], axes: Sequence[str] = ROW_AXES) -> None:
        if not columns:
            raise UserError("a SampleBatch needs at least one column, such as SampleBatch({'obs': obs})")
        if not axes or len(set(axes)) != len(axes):
            raise UserError(f"a SampleBatch needs axes of different names, such as {ROW_AXES}; got {tuple(axes)}")
        self.axes = tuple(axes)
        self._columns = {n: c if isinstance(c, Tensor) else torch.as_tensor(c) for n, c in columns.items()}
        self._check_lengths()

    def _like(self, columns: dict[str, Tensor], axes: tuple[str, ...] | None = None) -> SampleBatch:
        """Return a batch of columns that were made of these, without the checks of a new one."""
        made = SampleBatch.__new__(SampleBatch)
        made.axes, made._columns = axes or self.axes, columns
        return made

    def _check_lengths(self) -> None:
        n_axes = len(self.axes)
        first_name, first = next(iter(self._columns.items()))
        lengths = first.shape[:n_axes]
        for name, column in self._columns.items():
            if column.dim() < n_axes:
                raise UserError(f"column {name!r} has shape {_shown(column)}; it needs the leading axes {self.axes}")
            if column.shape[:n_axes] != lengths:
                raise UserError(
                    f"columns need equal lengths along {self.axes}: "
                    f"{first_name!r} is {_shown(first)}, {name!r} is {_shown(column)}"
                )

    # -- as a mapping

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._columns[name]
        except KeyError:
            # A KeyError, as `in` and `get` of a mapping rely on it.
            raise KeyError(f"no column {name!r}; there are {', '.join(self._columns)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    # Equality of mappings would need a single truth value of tensors.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {_shown(column)}" for name, column in self._columns.items())
        return f"SampleBatch({self._shown_sizes()}; {columns})"

    # -- sizes

    @property
    def sizes(self) -> tuple[int, ...]:
        """Length of each axis, in the order of `axes`."""
        return tuple(next(iter(self._columns.values())).shape[: len(self.axes)])

    @property
    def n_rows(self) -> int:
        """Number of entries: the product of `sizes`, invalid rows included."""
        return math.prod(self.sizes)

    def size(self, axis: str) -> int:
        """Length of an axis. Raises `UserError` for an unknown one."""
        return self.sizes[self._dim(axis)]

    # -- columns

    def select(self, *names: str) -> SampleBatch:
        """These columns only, in this order. Raises `UserError` for an unknown one."""
        self._check_names(names)
        return SampleBatch({name: self._columns[name] for name in names}, self.axes)

    def drop(self, *names: str) -> SampleBatch:
        """All columns except these. Raises `UserError` for an unknown one."""
        self._check_names(names)
        return SampleBatch({name: c for name, c in self._columns.items() if name not in names}, self.axes)

    def with_columns(self, columns: Mapping[str, Any]) -> SampleBatch:
        """Add columns [*sizes, ...], or replace those of the same name. Raises `UserError` for other lengths."""
        return SampleBatch({**self._columns, **columns}, self.axes)

    def map(self, function: Callable[[Tensor], Tensor]) -> SampleBatch:
        """Apply a function to every column; it must keep the leading axes."""
        return SampleBatch({name: function(column) for name, column in self._columns.items()}, self.axes)

    def to(self, device: torch.device | str) -> SampleBatch:
        """Copy to a device."""
        return self.map(lambda column: column.to(device))

    def numpy(self) -> dict[str, np.ndarray]:
        """Columns as arrays; they share memory with columns on the CPU."""
        return {name: column.detach().cpu().numpy() for name, column in self._columns.items()}

    # -- rows

    def slice(self, start: int | None, stop: int | None, axis: str | None = None) -> SampleBatch:
        """Entries start <= i < stop of an axis, as in a Python slice.

        Args:
            start: First entry. None: from the beginning.
            stop: End (exclusive). None: to the end.
            axis: Name of the axis; may be omitted if there is only one.

        Returns:
            The slice.

        Raises:
            UserError: unknown or missing axis.
        """
        dim = self._dim(axis)
        index = (slice(None),) * dim + (slice(start, stop),)
        return self._like({name: column[index] for name, column in self._columns.items()})

    def take(self, index: Tensor, axis: str | None = None) -> SampleBatch:
        """Entries of `axis` (needed if there are several) by number. index: int64 [K]. Returns K entries."""
        dim = self._dim(axis)
        return self.map(lambda column: column.index_select(dim, index))

    def to_rows(self) -> SampleBatch:
        """Merge all axes except "seed" into "row", time outermost: [T, S, N, ...] -> [S, T * N, ...]."""
        if "seed" not in self.axes:
            return SampleBatch({n: c.flatten(0, len(self.axes) - 1) for n, c in self._columns.items()}, ROW_AXES)
        if len(self.axes) == 1:
            return SampleBatch({n: c.unsqueeze(1) for n, c in self._columns.items()}, SEED_ROW_AXES)
        dim = self._dim("seed")
        rows = {name: c.movedim(dim, 0).flatten(1, len(self.axes) - 1) for name, c in self._columns.items()}
        return self._like(rows, SEED_ROW_AXES)

    def minibatches(
        self, size: int, generator: torch.Generator, axis: str | None = None, drop_last: bool = False
    ) -> Iterator[SampleBatch]:
        """One epoch of minibatches: each entry of `axis` once, in random order.

        All other axes are kept, in one order: for seeds with separate permutations or invalid rows see
        `tuneexp.data.minibatches`.

        Args:
            size: Entries of a minibatch.
            generator: Random generator of the permutation.
            axis: Name of the axis; may be omitted if there is only one.
            drop_last: Omit a last minibatch of fewer entries.

        Yields:
            Minibatches.

        Raises:
            UserError: `size` is below 1.
        """
        if size < 1:
            raise UserError(f"a minibatch needs at least one row, got size {size}")
        length = self.sizes[self._dim(axis)]
        order = torch.randperm(length, generator=generator)
        for index in order.split(size):
            if drop_last and len(index) < size:
                return
            yield self.take(index, axis)

    def episodes(self) -> list[SampleBatch]:
        """Split into episodes after each terminated or truncated row.

        Invalid rows are dropped. The first piece of an environment may be the rest of an earlier episode, the last one
        an unfinished episode.

        Returns:
            One `("time",)` batch per piece, environment by environment, seed by seed, in order of time.

        Raises:
            UserError: columns terminated and truncated are missing.
        """
        for needed in ("terminated", "truncated"):
            if needed not in self._columns:
                raise UserError(f"splitting by episode needs the columns terminated and truncated; {needed} is missing")
        dim = self._dim("time" if "time" in self.axes else None)
        streams = {name: _streams(column, dim, len(self.axes)) for name, column in self._columns.items()}
        valid = streams["valid"] if "valid" in streams else torch.ones_like(streams["terminated"])
        ends = streams["terminated"] | streams["truncated"] | ~valid
        pieces = []
        for stream in range(ends.shape[1]):
            after_ends = (ends[:, stream].nonzero().squeeze(1) + 1).tolist()
            for steps in torch.arange(ends.shape[0]).tensor_split(after_ends):
                kept = steps[valid[steps, stream]]
                if len(kept):
                    pieces.append(SampleBatch({name: c[kept, stream] for name, c in streams.items()}, ("time",)))
        return pieces

    # -- names of axes and columns

    def _dim(self, axis: str | None) -> int:
        if axis is None and len(self.axes) > 1:
            raise UserError(f"this batch has the axes {self.axes}; write which one with axis=")
        if axis is not None and axis not in self.axes:
            raise unknown_name("axis", axis, self.axes)
        return 0 if axis is None else self.axes.index(axis)

    def _check_names(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._columns:
                raise unknown_name("column", name, self._columns)

    def _shown_sizes(self) -> str:
        return ", ".join(f"{axis}={size}" for axis, size in zip(self.axes, self.sizes, strict=True))


def concat_samples(batches: Sequence[SampleBatch], axis: str | None = None) -> SampleBatch:
    """Concatenate batches along an axis.

    Args:
        batches: At least one.
        axis: Name of the axis; may be omitted if there is only one.

    Returns:
        The batch.

    Raises:
        UserError: batches differ in axes, columns, types, or lengths of other axes.
    """
    if not batches:
        raise UserError("concat_samples needs at least one batch")
    first = batches[0]
    dim = first._dim(axis)
    for number, batch in enumerate(batches[1:], start=1):
        if batch.axes != first.axes:
            raise UserError(
                f"batches to join need the same axes: batch 0 has {first.axes}, batch {number} {batch.axes}"
            )
        different = sorted(set(batch).symmetric_difference(first))
        if different:
            raise UserError(
                f"batches to join need the same columns: batch 0 and batch {number} differ in {', '.join(different)}"
            )
        for name in first:
            _check_joinable(name, first[name], batch[name], dim, number)
    return SampleBatch({name: torch.cat([batch[name] for batch in batches], dim) for name in first}, first.axes)


def _check_joinable(name: str, first: Tensor, other: Tensor, dim: int, number: int) -> None:
    if other.dtype != first.dtype:
        # torch.cat would promote in silence: an int64 action column would become float.
        raise UserError(f"column {name!r} is {first.dtype} in batch 0 and {other.dtype} in batch {number}")
    if first.shape[:dim] != other.shape[:dim] or first.shape[dim + 1 :] != other.shape[dim + 1 :]:
        raise UserError(
            f"column {name!r} can't be joined: {_shown(first)} in batch 0, {_shown(other)} in batch {number}"
        )


def _streams(column: Tensor, time_dim: int, n_axes: int) -> Tensor:
    """[T, C, ...]: time first, all other axes of the batch merged."""
    first = column.movedim(time_dim, 0)
    return first.flatten(1, n_axes - 1) if n_axes > 1 else first.unsqueeze(1)


def _shown(column: Tensor) -> str:
    return str(list(column.shape))
