"""How learners share the work of one operation: seeds, or the rows of each minibatch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.func import vmap

from tuneexp.data.minibatches import MASK, gather_minibatches
from tuneexp.errors import UserError
from tuneexp.learning.gradient import clip_per_seed
from tuneexp.learning.learner import Learner
from tuneexp.learning.shared_rows import RowSums, normalised_columns, of_some_rows
from tuneexp.learning.user_functions import name_of
from tuneexp.rl.losses import normalize
from tuneexp.training.epochs import Epochs

# Of a gradient's norm, between the whole and the mean of its parts: far above rounding, far below any real difference.
PARTS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Share:
    """What one of `n_learners` learners computes: these seeds of all, these rows of each of their minibatches."""

    rank: int
    n_learners: int
    seeds: slice
    rows: slice

    @property
    def n_rows(self) -> int:
        return int(self.rows.stop - self.rows.start)


@dataclass(frozen=True)
class Plan:
    """`by_rows`: each learner has all seeds, and minibatches are split; else each has seeds of its own."""

    shares: tuple[Share, ...]
    by_rows: bool


def plan_of(n_seeds: int, minibatch_rows: int, n_learners: int, n_gpus: float = 0.0) -> Plan:
    """Seeds need no word from each other, so they are shared out first; rows where there are fewer seeds than learners.
    n_gpus: of each learner. Raises `UserError` where some learner would get no row, or learners that exchange gradients
    a part of a GPU: NCCL refuses two processes on one."""
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
    parts = _even(minibatch_rows if by_rows else n_seeds, n_learners)
    shares = [
        Share(rank, n_learners, **{**everything, "rows" if by_rows else "seeds": part})
        for rank, part in enumerate(parts)
    ]
    return Plan(tuple(shares), by_rows)


def _even(length: int, parts: int) -> Iterator[slice]:
    ends = [length * part // parts for part in range(parts + 1)]
    return (slice(start, stop) for start, stop in pairwise(ends))


def shared_epochs(plan: Plan, learner: Learner, epochs: Epochs) -> list[Epochs]:
    """What each learner learns from. By rows, advantages are normalised here over every whole minibatch."""
    if plan.by_rows:
        whole = _normalised(epochs, normalised_columns(learner.hyper.static, list(epochs.columns)))
        return [_rows_of(whole, share.rows, learner) for share in plan.shares]
    return [_seeds_of(epochs, share.seeds) for share in plan.shares]


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
    """The columns `names` scaled within each minibatch, and so no longer a row's but an update's."""
    of_update, counts = dict(epochs.of_update), epochs.of_update[MASK]
    for name in names:
        of_update[name] = _normalise_each(_all_minibatches(epochs.columns[name], epochs.rows), counts)
    return replace(epochs, columns={n: c for n, c in epochs.columns.items() if n not in names}, of_update=of_update)


def _all_minibatches(column: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """column: [S, R, ...]; rows: [M, S, B] of each epoch. Returns [U, S, B, ...]."""
    flat = column.flatten(0, 1)
    return torch.cat([flat[epoch] for epoch in rows])


def _normalise_each(values: Tensor, counts: Tensor) -> Tensor:
    """values, counts: [U, S, ...]. Each update's and seed's scaled apart."""
    return vmap(vmap(normalize))(values, counts)


def require_means_over_rows(learner: Learner, epochs: Epochs, shares: Sequence[Epochs]) -> None:
    """Raises `UserError` where the gradient of the first minibatch is not the mean of what its parts give: then the
    loss looks at its rows together, and can't be split."""
    step = learner.next_step
    whole, part = replace(step, partial=True), of_some_rows(step)
    expected = _gradient(learner, RowSums(whole, learner.stack), [epochs])
    found = _gradient(learner, RowSums(part, learner.stack), shares)
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


def _gradient(learner: Learner, sums: RowSums, shares: Sequence[Epochs]) -> Tensor:
    """[P]: of the first minibatch, the mean over its parts."""
    packed = []
    for epochs in shares:
        columns = learner.columns_of(_first_minibatch(epochs), epochs.of_update, 0)
        outputs = sums.step(learner.step_inputs(columns))
        packed.append(sums.packed(outputs, columns, epochs.rows[0].shape[2]))
    return sums.means(torch.stack(packed).sum(0))[0]


def _first_minibatch(epochs: Epochs) -> Mapping[str, Tensor]:
    return next(gather_minibatches(epochs.columns, epochs.rows[0][:1]))


def _norm_per_seed(learner: Learner, flat: Tensor) -> Tensor:
    leaves = list(learner.stack.split(flat).values())
    return clip_per_seed(leaves, [0] * len(leaves), 1, None)[1][0]
