"""Division of an update among learners: seeds, or the rows of each minibatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.func import vmap

from tuneexp.data.minibatches import MASK, gather_minibatches
from tuneexp.errors import UserError
from tuneexp.learning.gradient import clip_per_seed
from tuneexp.learning.learner import Learner
from tuneexp.learning.shared_rows import RowSums, normalised_columns, of_some_rows
from tuneexp.learning.user_functions import name_of
from tuneexp.partition import even_slices
from tuneexp.rl.losses import normalize
from tuneexp.training.epochs import Epochs

# Relative to the gradient norm. It is far above rounding and far below the error of a loss that is no mean over rows.
PARTS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class LearnerShard:
    """Work of one learner.

    Args:
        rank: of the learner.
        n_learners: number of learners.
        seeds: slice of the seed axis.
        rows: slice of the rows of each minibatch.
    """

    rank: int
    n_learners: int
    seeds: slice
    rows: slice

    @property
    def n_rows(self) -> int:
        return int(self.rows.stop - self.rows.start)


@dataclass(frozen=True)
class LearnerSharding:
    """Division of the work among learners.

    Args:
        shards: one per learner.
        by_rows: each learner has all seeds and a part of each minibatch; else each has its own seeds.
    """

    shards: tuple[LearnerShard, ...]
    by_rows: bool


def shard_learning(n_seeds: int, minibatch_rows: int, n_learners: int, n_gpus: float = 0.0) -> LearnerSharding:
    """Divide seeds among learners, or the rows of each minibatch if there are fewer seeds than learners.

    Learners of different seeds do not communicate. Learners of divided rows exchange gradients.

    Args:
        n_seeds: seeds of the trial.
        minibatch_rows: rows (or sequences) of a minibatch, per seed.
        n_learners: number of learners.
        n_gpus: GPUs of each learner.

    Raises:
        UserError: a learner would get no row, or learners that exchange gradients would share a GPU, which NCCL does
            not allow.
    """
    by_rows = n_seeds < n_learners
    if by_rows and 0.0 < n_gpus < 1.0:
        raise UserError(
            f"{n_learners} learners of {n_seeds} seed(s) exchange gradients, which needs a whole GPU for each; write "
            f"num_gpus_per_learner=1, or num_learners={n_seeds}"
        )
    if by_rows and minibatch_rows < n_learners:
        raise UserError(
            f"minibatches of {minibatch_rows} rows (or sequences) can't be split over num_learners={n_learners}; write "
            f"num_learners={minibatch_rows} or less, or a larger batch_size"
        )
    everything = {"seeds": slice(0, n_seeds), "rows": slice(0, minibatch_rows)}
    parts = even_slices(minibatch_rows if by_rows else n_seeds, n_learners)
    shards = [
        LearnerShard(rank, n_learners, **{**everything, "rows" if by_rows else "seeds": part})
        for rank, part in enumerate(parts)
    ]
    return LearnerSharding(tuple(shards), by_rows)


def epochs_of_shards(sharding: LearnerSharding, learner: Learner, epochs: Epochs) -> list[Epochs]:
    """Return the data of each learner.

    If rows are divided, advantages are normalised here, over each whole minibatch.

    Args:
        sharding: division of the work.
        learner: the trial's own learner.
        epochs: the whole data.
    """
    if sharding.by_rows:
        whole = _normalised(epochs, normalised_columns(learner.hyper.static, list(epochs.columns)))
        return [_rows_of(whole, shard.rows, learner) for shard in sharding.shards]
    return [_seeds_of(epochs, shard.seeds) for shard in sharding.shards]


def _seeds_of(epochs: Epochs, seeds: slice) -> Epochs:
    n_rows = next(iter(epochs.columns.values())).shape[1]
    return Epochs(
        columns={name: column[seeds] for name, column in epochs.columns.items()},
        enough=epochs.enough[seeds],
        rows=[rows[:, seeds].contiguous() - seeds.start * n_rows for rows in epochs.rows],
        of_update={name: column[:, seeds] for name, column in epochs.of_update.items()},
    )


def _rows_of(epochs: Epochs, rows: slice, learner: Learner) -> Epochs:
    once_a_step = {name for name, noise in learner.noise.items() if noise.per == "step"}
    of_update = {
        name: column if name in once_a_step else column[:, :, rows] for name, column in epochs.of_update.items()
    }
    return replace(epochs, rows=[epoch[:, :, rows].contiguous() for epoch in epochs.rows], of_update=of_update)


def _normalised(epochs: Epochs, names: Sequence[str]) -> Epochs:
    """Normalise columns within each minibatch. Values differ by epoch, so the columns become data of updates."""
    of_update, counts = dict(epochs.of_update), epochs.of_update[MASK]
    for name in names:
        of_update[name] = _normalise_each(_all_minibatches(epochs.columns[name], epochs.rows), counts)
    return replace(epochs, columns={n: c for n, c in epochs.columns.items() if n not in names}, of_update=of_update)


def _all_minibatches(column: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """Gather all minibatches, [U, S, B, ...]. column: [S, R, ...]; rows: [M, S, B] of each epoch."""
    flat = column.flatten(0, 1)
    return torch.cat([flat[epoch] for epoch in rows])


def _normalise_each(values: Tensor, counts: Tensor) -> Tensor:
    """Normalise values [U, S, ...] for each update and seed. counts: [U, S, ...] bool, False for padding."""
    return vmap(vmap(normalize))(values, counts)


def require_means_over_rows(learner: Learner, epochs: Epochs, parts: Sequence[Epochs]) -> None:
    """Check that the gradient of the first minibatch is the mean of the gradients of its parts.

    Args:
        learner: the trial's own learner.
        epochs: the whole data.
        parts: data of each learner.

    Raises:
        UserError: it is not: the loss is not a mean over rows, so learners can't divide them.
    """
    step = learner.next_step
    whole, part = replace(step, partial=True), of_some_rows(step)
    expected = _gradient(learner, RowSums(whole, learner.stack), [epochs])
    found = _gradient(learner, RowSums(part, learner.stack), parts)
    difference, size = (_norm_per_seed(learner, flat) for flat in (found - expected, expected))
    judged = epochs.enough & ~learner.failed & ~learner.skipped & difference.isfinite()
    if (judged & (difference > PARTS_TOLERANCE * size + 1e-6)).any():
        inside = ", or normalize_advantage=false" if learner.hyper.static.get("normalize_advantage") else ""
        raise UserError(
            f"the loss {name_of(step.loss_fn)} is no mean over the rows of a minibatch, so learners can't split them "
            "(something in it is computed of all rows together, or a mean counts padding)\n"
            f"write num_learners={len(learner.seeds)} or less: then each learner has seeds of its own{inside}; or "
            'where a mean counts padding, mean_over(values, batch["mask"]) of tuneexp.rl.losses'
        )


def _gradient(learner: Learner, sums: RowSums, parts: Sequence[Epochs]) -> Tensor:
    """Return the gradient of the first minibatch, the mean over `parts`, [P]."""
    packed = []
    for epochs in parts:
        columns = learner.columns_of(_first_minibatch(epochs), epochs.of_update, 0)
        outputs = sums.step(learner.step_inputs(columns))
        packed.append(sums.packed(outputs, columns, epochs.rows[0].shape[2]))
    return sums.means(torch.stack(packed).sum(0))[0]


def _first_minibatch(epochs: Epochs) -> Mapping[str, Tensor]:
    return next(gather_minibatches(epochs.columns, epochs.rows[0][:1]))


def _norm_per_seed(learner: Learner, flat: Tensor) -> Tensor:
    leaves = list(learner.stack.split(flat).values())
    return clip_per_seed(leaves, [0] * len(leaves), 1, None)[1][0]
