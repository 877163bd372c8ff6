"""Fragments cut into short sequences for recurrent models (truncated backpropagation through time)."""

from __future__ import annotations

from torch import Tensor

from tuneexp.data.sample_batch import SEED_ROW_AXES, SampleBatch

FIRST_ONLY = "state"
"""Recurrent state: a sequence keeps that of its first step only."""


def to_sequences(batch: SampleBatch, length: int) -> SampleBatch:
    """Cut a fragment into sequences.

    Sequences begin at fixed steps of the fragment, independent of episodes; column `start` marks the steps before which
    the state is zeroed.

    Args:
        batch: Columns, [T, S, N, ...], with T a multiple of `length`.
        length: Steps of a sequence.

    Returns:
        Columns [S, K, length, ...] of K = T / length * N sequences; `state` is [S, K, 1, ...]. `mask` marks steps that
        count, `valid` [S, K] sequences with at least one such step. Other steps are zeros.
    """

    def cut(column: Tensor) -> Tensor:
        n_steps, n_seeds, n_envs = column.shape[:3]
        parts = column.reshape(n_steps // length, length, n_seeds, n_envs, *column.shape[3:])
        by_seed = parts.movedim((2, 0, 3, 1), (0, 1, 2, 3))  # [S, T / length, N, length, ...]
        return by_seed.reshape(n_seeds, -1, length, *column.shape[3:])

    mask = cut(batch["valid"])
    columns = {name: cut(column) for name, column in _without_resets(batch).items() if name != "valid"}
    if FIRST_ONLY in columns:
        columns[FIRST_ONLY] = columns[FIRST_ONLY][:, :, :1]
    return SampleBatch({**columns, "mask": mask, "valid": mask.any(-1)}, SEED_ROW_AXES)


def _without_resets(batch: SampleBatch) -> SampleBatch:
    """Zero reset rows. They are unrolled with the rest, and 0 times NaN is NaN in a gradient; the next state is zeroed
    anyway.
    """
    resets = ~batch["valid"]
    if not resets.any():
        return batch
    return batch.map(lambda column: column.masked_fill(resets.view(*resets.shape, *(1,) * (column.dim() - 3)), 0))
