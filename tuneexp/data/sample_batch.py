"""`SampleBatch`: named columns of equal length, with named axes.

The leading axes of every column are the batch's `axes`; what follows is the shape of one entry. The axes in use:

- `FRAGMENT_AXES` ("time", "seed", "env"): what a runner collects, [T, S, N, ...]. Along "time" row t + 1 of an
  environment follows row t; rows with `valid` False (resets) stay in their place, flagged.
- `SEED_ROW_AXES` ("seed", "row"): what a learner of S seeds consumes, [S, R, ...]. The order of rows has no meaning.
- `ROW_AXES` ("row",): rows without a seed axis, [R, ...]; in time order where they come from one environment.

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
"""A column [T, S, N] that a fragment has only where a runner was replaced: False on the first row of the environments
that it started afresh, which doesn't follow what came before it."""


class SampleBatch(Mapping[str, Tensor]):
    """An immutable mapping from column name to tensor [*sizes, ...]; operations return new batches.

    It is a `Mapping`: `len(batch)` counts columns, `batch.n_rows` counts entries. Arrays are taken as tensors that
    share their memory. Raises `UserError` for columns of unequal length.
    """

    def __init__(self, columns: Mapping[str, Any], axes: Sequence[str] = ROW_AXES) -> None:
        if not columns:
            raise UserError("a SampleBatch needs at least one column, such as SampleBatch({'obs': obs})")
        if not axes or len(set(axes)) != len(axes):
            raise UserError(f"a SampleBatch needs axes of different names, such as {ROW_AXES}; got {tuple(axes)}")
        self.axes = tuple(axes)
        self._columns = {name: torch.as_tensor(column) for name, column in columns.items()}
        self._check_lengths()

    def _check_lengths(self) -> None:
        n_axes = len(self.axes)
        first_name, first = next(iter(self._columns.items()))
        for name, column in self._columns.items():
            if column.dim() < n_axes:
                raise UserError(f"column {name!r} has shape {_shown(column)}; it needs the leading axes {self.axes}")
            if column.shape[:n_axes] != first.shape[:n_axes]:
                raise UserError(
                    f"columns need equal lengths along {self.axes}: "
                    f"{first_name!r} is {_shown(first)}, {name!r} is {_shown(column)}"
                )

    # -- as a mapping

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._columns[name]
        except KeyError:
            # A KeyError, as a mapping must raise it (`in` and `get` rely on it), that says what there is.
            raise KeyError(f"no column {name!r}; there are {', '.join(self._columns)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    # Equality of mappings would ask tensors for one truth value.
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
        """Number of entries: the product of `sizes`. Rows that aren't valid count too."""
        return math.prod(self.sizes)

    def size(self, axis: str) -> int:
        return self.sizes[self._dim(axis)]

    # -- columns

    def select(self, *names: str) -> SampleBatch:
        """Only these columns, in this order."""
        self._check_names(names)
        return SampleBatch({name: self._columns[name] for name in names}, self.axes)

    def drop(self, *names: str) -> SampleBatch:
        """All columns but these."""
        self._check_names(names)
        return SampleBatch({name: c for name, c in self._columns.items() if name not in names}, self.axes)

    def with_columns(self, columns: Mapping[str, Any]) -> SampleBatch:
        """These columns added; one of the same name is replaced."""
        return SampleBatch({**self._columns, **columns}, self.axes)

    def map(self, function: Callable[[Tensor], Tensor]) -> SampleBatch:
        """`function` applied to every column; it must keep the leading axes."""
        return SampleBatch({name: function(column) for name, column in self._columns.items()}, self.axes)

    def to(self, device: torch.device | str) -> SampleBatch:
        return self.map(lambda column: column.to(device))

    def numpy(self) -> dict[str, np.ndarray]:
        """The columns as arrays, sharing memory where they are on the CPU."""
        return {name: column.detach().cpu().numpy() for name, column in self._columns.items()}

    # -- rows

    def slice(self, start: int | None, stop: int | None, axis: str | None = None) -> SampleBatch:
        """Entries start <= i < stop of `axis` (default: the only one, else it must be said), as Python slices do."""
        dim = self._dim(axis)
        index = (slice(None),) * dim + (slice(start, stop),)
        return self.map(lambda column: column[index])

    def take(self, index: Tensor, axis: str | None = None) -> SampleBatch:
        """Entries of `axis` by number; index: int64 [K]. Its new length is K."""
        dim = self._dim(axis)
        return self.map(lambda column: column.index_select(dim, index))

    def to_rows(self) -> SampleBatch:
        """All axes but "seed" merged into "row", time outermost: [T, S, N, ...] -> [S, T * N, ...]."""
        if "seed" not in self.axes:
            return SampleBatch({n: c.flatten(0, len(self.axes) - 1) for n, c in self._columns.items()}, ROW_AXES)
        if len(self.axes) == 1:
            return SampleBatch({n: c.unsqueeze(1) for n, c in self._columns.items()}, SEED_ROW_AXES)
        dim = self._dim("seed")
        rows = {name: c.movedim(dim, 0).flatten(1, len(self.axes) - 1) for name, c in self._columns.items()}
        return SampleBatch(rows, SEED_ROW_AXES)

    def minibatches(
        self, size: int, generator: torch.Generator, axis: str | None = None, drop_last: bool = False
    ) -> Iterator[SampleBatch]:
        """One epoch: each entry of `axis` once, in an order drawn from `generator`, `size` entries at a time.

        The last minibatch may be smaller (left out with `drop_last`). All other axes are kept whole, in one order: for
        seeds that must be permuted apart, or have rows that aren't valid, see `tuneexp.data.minibatches`.
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
        """The batch cut after each terminated or truncated row, one `("time",)` batch per piece, in time order.

        From ("time", ...) axes or rows in time order. Columns of environments follow each other, seed by seed. Rows
        with `valid` False are left out. The last piece of an environment may be an unfinished episode, and the first
        the rest of one that began earlier.
        """
        for needed in ("terminated", "truncated"):
            if needed not in self._columns:
                raise UserError(f"splitting by episode needs the columns terminated and truncated; {needed} is missing")
        dim = self._dim("time" if "time" in self.axes else None)
        lanes = {name: _lanes(column, dim, len(self.axes)) for name, column in self._columns.items()}
        valid = lanes["valid"] if "valid" in lanes else torch.ones_like(lanes["terminated"])
        ends = lanes["terminated"] | lanes["truncated"] | ~valid
        pieces = []
        for lane in range(ends.shape[1]):
            after_ends = (ends[:, lane].nonzero().squeeze(1) + 1).tolist()
            for steps in torch.arange(ends.shape[0]).tensor_split(after_ends):
                kept = steps[valid[steps, lane]]
                if len(kept):
                    pieces.append(SampleBatch({name: c[kept, lane] for name, c in lanes.items()}, ("time",)))
        return pieces

    # -- names of axes and columns

    def _dim(self, axis: str | None) -> int:
        if axis is None and len(self.axes) > 1:
            raise UserError(f"this batch has the axes {self.axes}; say which one with axis=")
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
    """The batches one after another along `axis` (default: their only one, else it must be said).

    Raises `UserError` where they differ in axes, columns, types, or lengths of other axes.
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


def _lanes(column: Tensor, time_dim: int, n_axes: int) -> Tensor:
    """[T, C, ...]: time first, all other axes of the batch merged."""
    first = column.movedim(time_dim, 0)
    return first.flatten(1, n_axes - 1) if n_axes > 1 else first.unsqueeze(1)


def _shown(column: Tensor) -> str:
    return str(list(column.shape))
