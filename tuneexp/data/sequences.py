"""Fragments cut into short sequences, for recurrent models."""

from __future__ import annotations

from torch import Tensor

from tuneexp.data.sample_batch import SEED_ROW_AXES, SampleBatch

FIRST_ONLY = "state"
"""The column of which a sequence keeps its first step alone: the state that the sequence starts from."""


def to_sequences(batch: SampleBatch, length: int) -> SampleBatch:
    """batch: [T, S, N, ...] with T a multiple of `length`. Returns columns [S, K, length, ...] of K = T / length * N
    sequences, one a row: `mask`, which steps count; `valid`, [S, K], which sequences have a step that does.

    Sequences begin at fixed steps of the fragment, wherever episodes begin: `start` says within a sequence where its
    state has to be zeroed. `state` is [S, K, 1, ...]. Steps that don't count are zeros."""

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
    """Zeros on reset rows. They are unrolled with the rest, and a mask alone keeps no NaN out of a gradient: 0 times
    NaN is NaN. The state that follows them is zero in any case."""
    resets = ~batch["valid"]
    if not resets.any():
        return batch
    return batch.map(lambda column: column.masked_fill(resets.view(*resets.shape, *(1,) * (column.dim() - 3)), 0))
