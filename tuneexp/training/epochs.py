"""Epochs of minibatches: permutations are drawn first, then one learner or several learn from them."""

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
    """Data of several epochs.

    Args:
        columns: name -> [S, R, ...].
        enough: [S] bool, the seeds with enough rows to learn from.
        rows: for each epoch the minibatches as indices into the flattened [S * R] rows, [M, S, B].
        of_update: name -> [U, S, ...], data of each of the U updates: noise, and `mask`, which is False for padding.
    """

    columns: Mapping[str, Tensor]
    enough: Tensor
    rows: Sequence[Tensor]
    of_update: Mapping[str, Tensor]


def drawn_epochs(learner: Learner, batch: SampleBatch, n_epochs: int, batch_size: int) -> Epochs:
    """Draw permutations and noise of all epochs from each seed's own generator.

    Args:
        learner: for its generators and its noise.
        batch: columns [S, R, ...] with `valid` [S, R].
        n_epochs: passes over the rows.
        batch_size: rows (or sequences) of one minibatch, per seed (B).
    """
    # At least two rows: one alone has no standard deviation to normalise its advantage by. Steps of sequences count.
    steps = batch.get(MASK)  # of sequences
    enough = ((batch["valid"] if steps is None else steps).flatten(1).sum(1) >= 2).cpu()
    own, n_rows, least = valid_rows(batch["valid"].cpu()), batch["valid"].shape[1], 2 if steps is None else 1
    # All epochs are drawn before the first update: a seed's draws must not depend on when other seeds stop.
    rows, counted = minibatch_rows(own, n_rows, batch_size, learner.generators, least, n_epochs)
    counts = counted.repeat(n_epochs, 1, 1)
    mask = counts if steps is None else _steps_that_count(steps.cpu(), rows.flatten(0, 1), counts)
    of_update = {**learner.draw_noise(len(counts), batch_size), MASK: mask}
    return Epochs(batch.drop("valid", *(() if steps is None else (MASK,))), enough, rows.unbind(), of_update)


def _steps_that_count(steps: Tensor, rows: Tensor, counts: Tensor) -> Tensor:
    """Return the mask of sequences, [U, S, B, L].

    Args:
        steps: [S, R, L] bool, valid steps of each sequence.
        rows: [U, S, B].
        counts: [U, S, B] bool, False for padding.
    """
    return steps.flatten(0, 1)[rows] & counts.unsqueeze(-1)


def learn_epochs(learner: Learner, epochs: Epochs) -> None:
    """Update the learner on all minibatches, until every seed has stopped."""
    epochs = _placed(epochs, learner.device)
    learner.require_rows(epochs.enough)
    if learner.takes_whole_updates:
        flat = {name: column.flatten(0, 1) for name, column in epochs.columns.items()}
        learner.learn_on_rows(flat, epochs.rows, epochs.of_update)
    else:
        _learn_one_by_one(learner, epochs)
    learner.freeze_non_finite()


def _learn_one_by_one(learner: Learner, epochs: Epochs) -> None:
    update = 0
    for rows in epochs.rows:
        if update and learner.all_skipped:
            break
        for minibatch in gather_minibatches(epochs.columns, rows):
            learner.learn_on(minibatch, epochs.of_update, update)
            update += 1


def _placed(epochs: Epochs, device: torch.device) -> Epochs:
    """Move columns, rows and data of updates to `device`."""
    if device == CPU:
        return epochs

    def moved(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: column.to(device) for name, column in columns.items()}

    rows = [epoch.to(device) for epoch in epochs.rows]
    return Epochs(moved(epochs.columns), epochs.enough, rows, moved(epochs.of_update))
