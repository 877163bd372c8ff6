"""Storage of stacked frames, each frame once.

Consecutive stacks of the last k frames share k - 1 frames, and the next observation of one row is the observation of
the next row. A `FrameStore` keeps single frames in order of time, in one ring per environment; an observation is an id
from which its stack is rebuilt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tuneexp.data import memory
from tuneexp.errors import CheckpointError

# Frames a row beyond the one it needs: an episode's start costs k more. Enough for episodes of 32 k rows on average;
# the rings grow where they are shorter.
SLACK = 1 / 32
GROWTH = 1.5


class FrameStore:
    """Rings of F single frames for each of L = S * N environments ("streams").

    The id of an observation is `number * L + stream`, where `number` counts its newest frame among all frames of the
    stream; its stack is that frame and the k - 1 before it. Ids of one environment grow with time and expire with the
    oldest frame of their stack. With `needed_from`, `put` enlarges the rings instead of overwriting frames that are
    still needed.

    Args:
        shape: (k, ...) of an observation: its first axis is the stack, newest frame last.
        dtype: Type of a frame.
        n_seeds: Number of seeds S.
        n_envs: Environments per seed N.
        capacity: Rows per seed of the replay buffer.
        slack: Additional frames as a fraction of the rows.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: torch.dtype, n_seeds: int, n_envs: int, capacity: int, slack: float = SLACK
    ) -> None:
        self.stack, self.n_streams = shape[0], n_seeds * n_envs
        self.frame_shape, self.dtype = tuple(shape[1:]), dtype
        self.frames_per_stream = math.ceil(capacity / n_envs * (1 + slack)) + 2 * self.stack
        self._ring: Tensor | None = None  # [L * F, ...], made when the first frame comes
        self._written = torch.zeros(self.n_streams, dtype=torch.int64)
        self._continues = torch.zeros(self.n_streams, dtype=torch.bool)  # the next row may follow the last one stored
        self._needed_from = torch.zeros(self.n_streams, dtype=torch.int64)  # last result of needed_from

    @property
    def bytes_needed(self) -> int:
        """Bytes of a full store."""
        return self.n_streams * self.frames_per_stream * math.prod(self.frame_shape) * self.dtype.itemsize

    def put(
        self, obs: Tensor, next_obs: Tensor, valid: Tensor, needed_from: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Store the new frames of a fragment.

        An observation equal to the previous one needs no frame, one that is shifted by a frame needs one, any other k.

        Args:
            obs: [T, S, N, k, ...].
            next_obs: [T, S, N, k, ...].
            valid: bool [T, S, N]; other rows are not stored and get arbitrary ids.
            needed_from: Function from its last result to the number of the oldest frame still needed, [L]. Called only
                before a ring would overwrite frames.

        Returns:
            Ids of obs and of next_obs, int64 [T, S, N] each.

        Raises:
            UserError: the rings must grow and memory is short.
        """
        obs, next_obs = obs.flatten(1, 2), next_obs.flatten(1, 2)
        flags = valid.flatten(1, 2)
        cost = torch.stack([self._cost_of_obs(obs, next_obs, flags), self._cost_of_next(next_obs, obs)], dim=1)
        cost = cost * flags.unsqueeze(1)  # [T, 2, L]
        total = cost.flatten(0, 1).cumsum(0).view(cost.shape) + self._written
        if needed_from is not None and len(total):
            self._make_room(total[-1, -1], needed_from)
        self._written = total[-1, -1].clone() if len(total) else self._written
        for which, stacks in enumerate((obs, next_obs)):
            self._store(stacks, cost[:, which], total[:, which] - 1)
        self._continues = flags[-1].clone() if len(flags) else self._continues
        ids = (total - 1).clamp(min=0) * self.n_streams + torch.arange(self.n_streams)
        return ids[:, 0].view(valid.shape), ids[:, 1].view(valid.shape)

    def _make_room(self, written: Tensor, needed_from: Callable[[Tensor], Tensor]) -> None:
        """written: [L], frames after the coming ones."""
        if int((written - self._needed_from).max()) <= self.frames_per_stream:
            return
        self._needed_from = needed_from(self._needed_from)
        needed = int((written - self._needed_from).max())
        # Nearly full counts as full: needed_from scans all rows and should be called rarely.
        if needed + needed // 64 > self.frames_per_stream:
            self._grow(max(needed, math.ceil(self.frames_per_stream * GROWTH)))

    def _grow(self, frames_per_stream: int) -> None:
        """Move the frames into longer rings. For a moment both are in memory."""
        before, ring = self.frames_per_stream, self._ring
        self.frames_per_stream = frames_per_stream
        if ring is None:
            return
        what = "a replay buffer of stacked frames whose episodes are short (a smaller buffer_size takes less)"
        memory.require(what, self.bytes_needed, -(-self.bytes_needed // before))
        own = self._empty_ring()
        for stream, written in enumerate(self._written.tolist()):
            number = torch.arange(max(0, written - before), written)
            frames = ring.index_select(0, number % before + stream * before)
            own.index_copy_(0, number % frames_per_stream + stream * frames_per_stream, frames)
        self._ring = own

    def _empty_ring(self) -> Tensor:
        return torch.empty((self.n_streams * self.frames_per_stream, *self.frame_shape), dtype=self.dtype)

    def _cost_of_obs(self, obs: Tensor, next_obs: Tensor, flags: Tensor) -> Tensor:
        """Number of new frames of each observation, [T, L]; k after a reset row and at the start."""
        follows = torch.cat([self._continues.unsqueeze(0), flags[:-1]])
        if self._ring is None:
            first = torch.full((1, self.n_streams), self.stack)
        else:
            streams = torch.arange(self.n_streams)
            first = self._cost(obs[:1], self.stacks((self._written - 1).clamp(min=0) * self.n_streams + streams)[None])
        return torch.cat([first, self._cost(obs[1:], next_obs[:-1])]).where(follows, self.stack)

    def _cost(self, new: Tensor, before: Tensor) -> Tensor:
        """Number of frames of `new` that `before` lacks: 0, 1 or k. [T, L]."""
        same = _equal(new, before)
        if same.all():  # mostly: an episode goes on
            return torch.zeros(same.shape, dtype=torch.int64)
        return torch.where(same, 0, torch.where(_equal(new[:, :, :-1], before[:, :, 1:]), 1, self.stack))

    def _cost_of_next(self, new: Tensor, before: Tensor) -> Tensor:
        """As `_cost`, faster if `new` is shifted by one frame, as it mostly is."""
        shifted = _equal(new[:, :, :-1], before[:, :, 1:])
        if shifted.all():
            return torch.ones(shifted.shape, dtype=torch.int64)
        return torch.where(shifted, 1, torch.where(_equal(new, before), 0, self.stack))

    def _store(self, stacks: Tensor, cost: Tensor, newest: Tensor) -> None:
        """Write the new frames of each stack. stacks: [T, L, k, ...]; cost and newest frame number: [T, L]."""
        if self._ring is None:
            self._ring = self._empty_ring()
        back = torch.arange(self.stack - 1, -1, -1)
        number = newest.unsqueeze(2) - back
        # Of more frames than the ring holds, only the last are written: two writes to one place have no order.
        new = (back < cost.unsqueeze(2)) & (number >= (self._written - self.frames_per_stream).view(1, -1, 1))
        place = number % self.frames_per_stream + self._first_place().view(1, -1, 1)
        chosen = new.flatten().nonzero().squeeze(1)
        frames = stacks.flatten(0, 2).index_select(0, chosen)
        self._ring.index_copy_(0, place.flatten().index_select(0, chosen), frames)

    def _first_place(self) -> Tensor:
        return torch.arange(self.n_streams) * self.frames_per_stream

    def stacks(self, ids: Tensor) -> Tensor:
        """Observations [..., k, ...] of ids [...]; arbitrary where an id is not `alive`."""
        if self._ring is None:
            return torch.zeros((*ids.shape, self.stack, *self.frame_shape), dtype=self.dtype)
        number, stream = self._parts(ids)
        place = (number.unsqueeze(-1) - torch.arange(self.stack - 1, -1, -1)) % self.frames_per_stream
        place += (stream * self.frames_per_stream).unsqueeze(-1)
        return self._ring.index_select(0, place.flatten()).view(*ids.shape, self.stack, *self.frame_shape)

    def oldest(self, ids: Tensor, known: Tensor) -> Tensor:
        """Number of the oldest frame of the stacks `ids` [R] in each ring, [L]; `known` for rings without any."""
        number, stream = self._parts(ids)
        return known.scatter_reduce(0, stream, number - self.stack + 1, "amin", include_self=False)

    def alive(self, ids: Tensor) -> Tensor:
        """True where all frames of the stack are still stored. ids: [...]; returns bool [...]."""
        number, stream = self._parts(ids)
        written = self._written[stream]
        return (number - self.stack + 1 >= (written - self.frames_per_stream).clamp(min=0)) & (number < written)

    def _parts(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return ids.div(self.n_streams, rounding_mode="floor"), ids % self.n_streams

    def state_dict(self) -> dict[str, Any]:
        """Filled part of the storage, as views: write them to disk before the next `put`."""
        filled = self._written.clamp(max=self.frames_per_stream).tolist()
        ring = None if self._ring is None else self._ring.view(self.n_streams, -1, *self.frame_shape)
        return {
            "frames_per_lane": self.frames_per_stream,
            "written": self._written.tolist(),
            "continues": self._continues.tolist(),
            "ring": [] if ring is None else [stream[:rows] for stream, rows in zip(ring, filled)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the frames. Raises `CheckpointError` for another number of environments."""
        if len(state["written"]) != self.n_streams:
            raise CheckpointError(
                f"the stored frames are of {len(state['written'])} environments; this store is for {self.n_streams}"
            )
        self.frames_per_stream = int(state["frames_per_lane"])
        self._needed_from = torch.zeros(self.n_streams, dtype=torch.int64)
        self._written = torch.tensor(state["written"])
        self._continues = torch.tensor(state["continues"])
        self._ring = None
        if state["ring"]:
            self._ring = self._empty_ring()
            for own, frames in zip(self._ring.view(self.n_streams, -1, *self.frame_shape), state["ring"], strict=True):
                own[: frames.shape[0]].copy_(frames)


def _equal(one: Tensor, other: Tensor) -> Tensor:
    """Bitwise equality of stacks. [T, L, k, ...] each; returns bool [T, L]."""
    ones, others = _bytes(one), _bytes(other)
    if _made_of_words(ones) and _made_of_words(others):  # an eighth of the comparisons
        ones, others = ones.view(torch.int64), others.view(torch.int64)
    return (ones == others).all(2)


def _bytes(x: Tensor) -> Tensor:
    """Bytes of stacks, uint8 [T, L, bytes], without a copy if a stack is contiguous. x: [T, L, k, ...]."""
    flat = x.flatten(2) if x.dim() > 3 else x
    return (flat if flat.stride(2) == 1 else flat.contiguous()).view(torch.uint8)


def _made_of_words(x: Tensor) -> bool:
    return not any(number % 8 for number in (x.shape[2], x.stride(0), x.stride(1), x.storage_offset()))
