"""Replay buffer with a seed axis.

Every seed has its own ring and write position, since reset rows differ between seeds; the rows that one seed stores and
samples do not depend on the others. Rows are numbered through the flattened [S * C] storage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tuneexp.data import memory
from tuneexp.data.frames import FrameStore
from tuneexp.errors import CheckpointError, UserError, unknown_name

Rows = Tensor  # int64 row numbers into the flattened [S * C] storage: [M, S, B], or [S, B] for one minibatch

FRAME_COLUMNS = ("obs", "next_obs")


class Entry(NamedTuple):
    """Shape and dtype of one row of a column."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def bytes_needed(entries: Mapping[str, Entry], n_seeds: int, capacity: int, frames: FrameStore | None = None) -> int:
    """Bytes of a full buffer. capacity: rows per seed."""
    entries = _stored_entries(entries, frames)
    per_row = sum(math.prod(entry.shape) * entry.dtype.itemsize for entry in entries.values())
    return n_seeds * capacity * per_row + (frames.bytes_needed if frames else 0)


def _stored_entries(entries: Mapping[str, Entry], frames: FrameStore | None) -> dict[str, Entry]:
    if frames is None:
        return dict(entries)
    return {name: Entry((), torch.int64) if name in FRAME_COLUMNS else entry for name, entry in entries.items()}


class ReplayBuffer:
    """Ring buffer of `capacity` rows for each seed, sampled uniformly with replacement.

    The storage [S, C, ...] is reserved at once, but a memory page is used only when it is filled. With `frames`, the
    columns obs and next_obs hold ids of stacked frames: pass fragments through `encode` before `add`.

    Args:
        entries: Shape and dtype of one row of each column.
        n_seeds: Number of seeds S.
        capacity: Rows per seed C.
        frames: Store of stacked frames. None: observations are stored whole.

    Attributes:
        flat: Storage of each column, [S * C, ...].

    Raises:
        UserError: a full buffer does not fit into the available memory.
    """

    def __init__(
        self, entries: Mapping[str, Entry], n_seeds: int, capacity: int, frames: FrameStore | None = None
    ) -> None:
        if capacity < 1 or n_seeds < 1:
            raise UserError(f"a replay buffer needs at least 1 row and 1 seed; got {capacity} rows, {n_seeds} seeds")
        self.n_seeds, self.capacity, self.frames = n_seeds, capacity, frames
        self.entries = _stored_entries(entries, frames)
        what = f"a replay buffer of {capacity} rows for each of {n_seeds} seeds"
        memory.require(what, self.bytes_needed, -(-self.bytes_needed // capacity))
        self._columns = {
            name: torch.empty((n_seeds, capacity, *entry.shape), dtype=entry.dtype)
            for name, entry in self.entries.items()
        }
        for column in self._columns.values():
            column[:, 0] = 0  # sampled for a seed without rows: a valid action, not uninitialised memory
        self.flat = {name: column.flatten(0, 1) for name, column in self._columns.items()}
        self._offset = np.arange(n_seeds, dtype=np.int64) * capacity
        self._written = np.zeros(n_seeds, dtype=np.int64)  # rows ever added
        self._size = np.zeros(n_seeds, dtype=np.int64)
        self._position: int | None = 0  # the write position that all seeds share, None where they differ

    @property
    def bytes_needed(self) -> int:
        """Bytes of a full buffer, including frames."""
        return bytes_needed(self.entries, self.n_seeds, self.capacity, self.frames)

    @property
    def size(self) -> Tensor:
        """Number of stored rows of each seed, int64 [S]."""
        return torch.from_numpy(self._size.copy())

    # -- adding

    def encode(self, fragment: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Columns of a fragment [T, S, N, ...] as they are stored; with frames, obs and next_obs are int64 ids [T, S,
        N].

        Every fragment must be encoded once, in the order of collection.
        """
        columns = dict(fragment)
        if self.frames is not None:
            ids = self.frames.put(columns["obs"], columns["next_obs"], columns["valid"], self._needed_from)
            columns.update(zip(FRAME_COLUMNS, ids, strict=True))
        return columns

    def _needed_from(self, known: Tensor) -> Tensor:
        """Oldest frame of any row, [L]; `known` from the last call for an environment without rows."""
        assert self.frames is not None
        rows = [self._newest(seed, int(size)) for seed, size in enumerate(self._size)]
        return self.frames.oldest(self.flat["obs"].index_select(0, torch.cat(rows)), known)

    def _newest(self, seed: int, size: int) -> Tensor:
        """Row numbers of the newest rows of a seed, oldest first, [size]."""
        return (torch.arange(size) + int(self._written[seed]) - size) % self.capacity + int(self._offset[seed])

    def add(self, columns: Mapping[str, Tensor], valid: Tensor) -> None:
        """Append the valid rows of each seed, overwriting its oldest rows when full.

        Args:
            columns: Name -> [S, R, ...], in order of time; R may exceed the capacity. Columns without an entry are
                ignored.
            valid: Rows to store, bool [S, R].

        Raises:
            UserError: a column is missing or has another shape or dtype.
        """
        sources = [self._checked(name, columns, valid) for name in self._columns]
        flags = valid.numpy()
        if self._position is not None and flags.all():
            self._add_aligned(sources, flags.shape[1], self._position)
        else:
            self._add_ragged(sources, flags)

    def _checked(self, name: str, columns: Mapping[str, Tensor], valid: Tensor) -> Tensor:
        column = columns.get(name)
        if column is None:
            raise unknown_name("replay column", name, columns)
        own = self._columns[name]
        if column.dtype is not own.dtype or column.shape[2:] != own.shape[2:] or column.shape[:2] != valid.shape:
            raise UserError(
                f"replay column {name!r} is {list(column.shape)} {column.dtype}; this buffer takes "
                f"{[*valid.shape, *own.shape[2:]]} {own.dtype}"
            )
        return column

    def _add_aligned(self, sources: Sequence[Tensor], n_rows: int, position: int) -> None:
        """Fast path: all seeds write the same number of rows at the same position, in at most two slices per column."""
        skipped = max(0, n_rows - self.capacity)
        start, kept = (position + skipped) % self.capacity, n_rows - skipped
        head = min(kept, self.capacity - start)
        for column, source in zip(self._columns.values(), sources):
            column.narrow(1, start, head).copy_(source if head == n_rows else source.narrow(1, skipped, head))
            if head < kept:
                column.narrow(1, 0, kept - head).copy_(source.narrow(1, skipped + head, kept - head))
        self._written += n_rows
        np.minimum(self._size + n_rows, self.capacity, out=self._size)
        self._position = (position + n_rows) % self.capacity

    def _add_ragged(self, sources: Sequence[Tensor], flags: np.ndarray) -> None:
        number = flags.cumsum(1)  # of each valid row among its seed's, from 1
        count = number[:, -1]
        keep = flags & (number > (count - self.capacity)[:, None])
        place = (self._written[:, None] + number - 1) % self.capacity + self._offset[:, None]
        chosen = torch.from_numpy(np.flatnonzero(keep))
        to = torch.from_numpy(place[keep])
        for flat, source in zip(self.flat.values(), sources):
            flat.index_copy_(0, to, source.flatten(0, 1).index_select(0, chosen))
        self._written += count
        np.minimum(self._size + count, self.capacity, out=self._size)
        position = self._written % self.capacity
        self._position = int(position[0]) if (position == position[0]).all() else None

    # -- sampling

    def sample_rows(self, n_batches: int, batch_size: int, generators: Sequence[torch.Generator]) -> Rows:
        """Sample row numbers uniformly with replacement.

        Args:
            n_batches: Number of minibatches M.
            batch_size: Rows B of a minibatch.
            generators: Random generator of each seed.

        Returns:
            Row numbers, [M, S, B]; arbitrary for a seed without rows.
        """
        pairs = zip(self._size.tolist(), generators, strict=True)
        drawn = [torch.randint(max(size, 1), (n_batches, 1, batch_size), generator=own) for size, own in pairs]
        rows, oldest = drawn[0] if len(drawn) == 1 else torch.cat(drawn, dim=1), self._written - self._size
        if oldest.any():
            rows = (rows + torch.from_numpy(oldest)[:, None]) % self.capacity
        return rows if self.n_seeds == 1 else rows + torch.from_numpy(self._offset)[:, None]

    def _drop_to(self, seed: int, size: int) -> None:
        """Keep only the newest `size` rows of a seed."""
        self._size[seed] = size

    def gather(self, rows: Rows) -> dict[str, Tensor]:
        """Read rows.

        Args:
            rows: Row numbers, [M, S, B].

        Returns:
            Columns [M, S, B, ...], contiguous, with decoded observations.

        Raises:
            RuntimeError: frames of a row have been overwritten since it was sampled.
        """
        index = rows.reshape(-1)
        picked = {name: flat.index_select(0, index) for name, flat in self.flat.items()}
        if self.frames is not None:
            self._check_alive(picked["obs"].view(rows.shape))
            picked.update({name: self.frames.stacks(picked[name]) for name in FRAME_COLUMNS})
        return {name: column.view(*rows.shape, *column.shape[1:]) for name, column in picked.items()}

    def _check_alive(self, ids: Tensor) -> None:
        assert self.frames is not None
        expired = ~self.frames.alive(ids) & torch.from_numpy(self._size > 0)[:, None]
        if expired.any():
            raise RuntimeError("rows were gathered whose frames have been overwritten: gather before the next fragment")

    # -- storing

    def state_dict(self) -> dict[str, Any]:
        """Filled part of the storage, as views: write them to disk before the next `add`."""
        filled = np.minimum(self._written, self.capacity).tolist()
        return {
            "capacity": self.capacity,
            "n_seeds": self.n_seeds,
            "written": self._written.tolist(),
            "size": self._size.tolist(),
            "columns": {
                name: [own[:rows] for own, rows in zip(column, filled)] for name, column in self._columns.items()
            },
            "frames": None if self.frames is None else self.frames.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore from `state_dict`. Raises `CheckpointError` for another size or other columns."""
        for name, own in {"capacity": self.capacity, "n_seeds": self.n_seeds}.items():
            if state[name] != own:
                raise CheckpointError(f"the stored replay buffer has {name} {state[name]}; this one has {own}")
        if state["frames"] is None and self.frames is not None:
            raise CheckpointError("the stored replay buffer holds whole observations, this one stacked frames")
        if state["frames"] is not None:
            state = self._with_frames_of(state)
        self._check_columns(state["columns"])
        self._load(state)
        for seed, size in enumerate(state["size"]):
            self._drop_to(seed, int(size))

    def _with_frames_of(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Load the stored frames. Rows of older checkpoints that lack frames are dropped; frames of images that are no
        stacks become whole observations.
        """
        frames = self.frames
        if frames is None:
            obs, n_streams = self.entries["obs"], len(state["frames"]["written"])
            frames = FrameStore(obs.shape, obs.dtype, n_streams, 1, self.capacity)
        frames.load_state_dict(state["frames"])
        columns = dict(state["columns"])
        sizes = [_still_whole(frames, ids, int(w)) for ids, w in zip(columns["obs"], state["written"], strict=True)]
        if self.frames is None:
            columns |= {name: [frames.stacks(ids) for ids in columns[name]] for name in FRAME_COLUMNS}
        return {**state, "columns": columns, "size": sizes}

    def _load(self, state: Mapping[str, Any]) -> None:
        for name, column in self._columns.items():
            for own, stored in zip(column, state["columns"][name], strict=True):
                own[: stored.shape[0]].copy_(stored)
        self._written[:] = state["written"]
        np.minimum(self._written, self.capacity, out=self._size)
        position = self._written % self.capacity
        self._position = int(position[0]) if (position == position[0]).all() else None

    def _check_columns(self, stored: Mapping[str, Sequence[Tensor]]) -> None:
        shown = {name: Entry(tuple(of[0].shape[1:]), of[0].dtype) for name, of in stored.items()}
        for name in FRAME_COLUMNS:  # earlier versions stored float64 observations as float32: convert them
            if name in shown and (shown[name].dtype, self.entries[name].dtype) == (torch.float32, torch.float64):
                shown[name] = shown[name]._replace(dtype=torch.float64)
        different = [
            name
            for name in {**self.entries, **shown}
            if tuple(shown.get(name, ())) != tuple(self.entries.get(name, ()))
        ]
        if different:
            raise CheckpointError(
                f"the stored replay buffer has other columns than this one: {', '.join(different)} differ"
            )


def _still_whole(frames: FrameStore, ids: Tensor, written: int) -> int:
    """Number of newest rows with all of their frames. ids: [R], a seed's rows; written: rows ever added to the ring."""
    rows = len(ids)
    lost = (~frames.alive(ids.roll(-written % rows if rows else 0))).nonzero()
    return rows - (int(lost.max()) + 1 if len(lost) else 0)
