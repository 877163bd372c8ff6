"""Whole updates as one program each: minibatches are gathered, differentiated and stepped without Python between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tuneexp.learning.compile.build import InPlaceSpec
from tuneexp.learning.compile.in_place import Layout
from tuneexp.learning.compile.program import Program
from tuneexp.learning.functional_state import FunctionalState
from tuneexp.learning.gradient import GradientStep
from tuneexp.learning.update_log import UpdateLog
from tuneexp.learning.update_step import UpdateStep


class SeedTensors(NamedTuple):
    """Tensors of a learner that updates change, and that they read.

    hyper: [H]; parameters: [S, ...] each; failed, skipped: [S] bool."""

    hyper: Tensor
    parameters: Sequence[Tensor]
    failed: Tensor
    skipped: Tensor


def in_place_spec(
    update: UpdateStep, own: SeedTensors, state: FunctionalState, columns: Mapping[str, Tensor], given: Collection[str]
) -> InPlaceSpec:
    """Return the specification of the program of an update.

    Args:
        update: for the optimizer of `state`.
        own: of the learner.
        state: of the optimizer.
        columns: a minibatch, name -> [S, B, ...].
        given: columns that come with each update; the others are gathered.
    """
    table, moments = state.start(1)
    state.end(0)
    example = [
        own.hyper, table[0].clone(), torch.ones_like(own.failed), own.failed, own.skipped, *own.parameters, *moments,
        *columns.values(),
    ]  # fmt: skip
    n_state = 2 + len(own.parameters) + len(moments)
    return InPlaceSpec(update, example, Layout(2, n_state, tuple(name not in given for name in columns)))


class WholeUpdates:
    """Updates of a learner by a program of `in_place_spec`.

    Args:
        step: gradient step of the program.
        program: of the update.
        own: of the learner.
        state: of its optimizer.
        given: as for `in_place_spec`.
    """

    def __init__(
        self, step: GradientStep, program: Program, own: SeedTensors, state: FunctionalState, given: Collection[str]
    ) -> None:
        self._step, self._run, self._own, self._state, self._given = step, program.run, own, state, given

    def learn(
        self, columns: Mapping[str, Tensor], epochs: Sequence[Tensor], enough: Tensor, log: UpdateLog
    ) -> tuple[int, dict[str, Tensor]]:
        """Take the updates of some epochs, until every seed has stopped.

        Args:
            columns: gathered ones [S, R, ...] and given ones [U, S, ...], by name.
            epochs: for each epoch the minibatches as indices into the flattened [S * R] rows, [M, S, B].
            enough: [S] bool, seeds with enough rows.
            log: of the updates.

        Returns:
            The number of updates, and the row outputs of the last one, name -> [S, B].
        """
        taken = torch.zeros((), dtype=torch.long)
        inputs = self._inputs(taken, columns, torch.cat(list(epochs)), enough)
        names, n_updates, rows = self._step.metric_names, 0, []
        for minibatches in epochs:
            for _ in range(len(minibatches)):
                proceed, metrics, *rows = self._run(inputs)
                log.add(names, metrics, proceed)
            n_updates += len(minibatches)
            if not proceed.any():
                break
        self._state.end(int(taken))
        return n_updates, dict(zip(self._step.row_names, rows, strict=True))

    def _inputs(self, taken: Tensor, columns: Mapping[str, Tensor], rows: Tensor, enough: Tensor) -> list[Tensor]:
        own, (table, moments) = self._own, self._state.start(len(rows))
        data = [
            # Compiled code reads the strides of its example.
            (columns[name] if name in self._given else columns[name].flatten(0, 1)).contiguous()
            for name in self._step.column_names
        ]
        return [
            torch.zeros((), dtype=torch.long), taken, table, own.hyper, enough, own.failed, own.skipped,
            *own.parameters, *moments, rows, *data,
        ]  # fmt: skip
