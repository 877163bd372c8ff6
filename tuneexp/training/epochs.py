"""Epochs over minibatches: drawn first, then learned from, by one learner or by several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tuneexp.data.minibatches import MASK, gather_minibatches, minibatch_rows, valid_rows
from tuneexp.data.sample_batch import SampleBatch
from tuneexp.learning.devices import CPU
from tuneexp.learning.learner import Learner


@dataclass(frozen=True)
class Epochs:
    """columns: name -> [S, R, ...]; enough: [S] bool, the seeds that have rows enough to learn from; rows: of each
    epoch the row numbers into the flattened [S * R] rows, [M, S, B]; of_update: name -> [U, S, ...], what belongs to
    one of all U updates and not to a row: noise, and `mask`, which rows (or steps of sequences) count."""

    columns: Mapping[str, Tensor]
    enough: Tensor
    rows: Sequence[Tensor]
    of_update: Mapping[str, Tensor]


def drawn_epochs(learner: Learner, batch: SampleBatch, n_epochs: int, batch_size: int) -> Epochs:
    """batch: columns [S, R, ...] with `valid` [S, R]. Everything that chance says, from each seed's own generator."""
    # Two rows at least: one alone has no deviation to normalise its advantage by. A sequence has as many as count.
    steps = batch.get(MASK)  # of sequences
    enough = ((batch["valid"] if steps is None else steps).flatten(1).sum(1) >= 2).cpu()
    own, n_rows, least = valid_rows(batch["valid"].cpu()), batch["valid"].shape[1], 2 if steps is None else 1
    # All epochs are drawn before any is used: what a seed draws must not depend on when the others stop.
    drawn = [minibatch_rows(own, n_rows, batch_size, learner.generators, least) for _ in range(n_epochs)]
    rows, counts = [chosen for chosen, _ in drawn], torch.cat([counted for _, counted in drawn])
    mask = counts if steps is None else _steps_that_count(steps.cpu(), rows, counts)
    of_update = {**learner.draw_noise(len(counts), batch_size), MASK: mask}
    return Epochs(batch.drop("valid", *(() if steps is None else (MASK,))), enough, rows, of_update)


def _steps_that_count(steps: Tensor, rows: Sequence[Tensor], counts: Tensor) -> Tensor:
    """steps: [S, R, L], of each sequence; rows: [M, S, B] of each epoch; counts: [U, S, B]. Returns [U, S, B, L]."""
    return steps.flatten(0, 1)[torch.cat(list(rows))] & counts.unsqueeze(-1)


def learn_epochs(learner: Learner, epochs: Epochs) -> None:
    epochs = _placed(epochs, learner.device)
    learner.require_rows(epochs.enough)
    update = 0
    for rows in epochs.rows:
        if update and learner.all_skipped:
            break
        for minibatch in gather_minibatches(epochs.columns, rows):
            learner.learn_on(minibatch, epochs.of_update, update)
            update += 1
    learner.freeze_non_finite()


def _placed(epochs: Epochs, device: torch.device) -> Epochs:
    """What minibatches are gathered from, by what, and what goes with them, on `device`."""
    if device == CPU:
        return epochs

    def moved(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: column.to(device) for name, column in columns.items()}

    rows = [epoch.to(device) for epoch in epochs.rows]
    return Epochs(moved(epochs.columns), epochs.enough, rows, moved(epochs.of_update))
