"""Whole updates as one program each: minibatches are gathered, differentiated and stepped without Python between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tuneexp.learning.compile.build import InPlaceSpec
from tuneexp.learning.compile.in_place import Layout
from tuneexp.learning.compile.program import Program, TensorFn
from tuneexp.learning.functional_state import Coming, FunctionalState, Stepped
from tuneexp.learning.gradient import GradientStep
from tuneexp.learning.loss_parts import UpdatePeriods, part_of
from tuneexp.learning.target import TargetNetworks
from tuneexp.learning.update_log import UpdateLog
from tuneexp.learning.update_step import UpdateStep

TARGET_RATE = "target_rate"
"""Column of one number for each update, by which it moves the target networks."""

Steps = Mapping[frozenset[str], tuple[GradientStep, Program]]
"""Omitted parts -> the gradient step without them, and its program."""


class SeedTensors(NamedTuple):
    """Tensors and state that updates of a learner change, and that they read.

    hyper: [S, H]; parameters: name -> [S, ...]; failed, skipped: [S] bool; target: None without target networks."""

    hyper: Tensor
    parameters: Mapping[str, Tensor]
    failed: Tensor
    skipped: Tensor
    state: FunctionalState
    target: TargetNetworks | None

    @property
    def moves_target(self) -> bool:
        return self.target is not None and self.target.moves_with_updates

    def of_step(self, coming: Coming, omitted: Collection[str]) -> list[Tensor]:
        """Return the parameters, moments and target parameters of a program."""
        moments = [
            moment for name in self.parameters if part_of(name, omitted) is None
            for moment in coming.moments.get(name, ())
        ]  # fmt: skip
        targets = [] if self.target is None else self.target.leaves.values()
        return [*self.parameters.values(), *moments, *targets]


def in_place_spec(
    step: GradientStep, optimizers: Sequence[Stepped | None], own: SeedTensors, columns: Mapping[str, Tensor],
    given: Collection[str], own_rates: bool,
) -> InPlaceSpec:  # fmt: skip
    """Return the specification of the program of an update.

    Args:
        step: its gradient step.
        optimizers: of each parameter.
        own: of the learner.
        columns: a minibatch, name -> [S, B, ...].
        given: columns that come with each update; the others are gathered.
        own_rates: seeds have learning rates of their own.
    """
    due = tuple(
        None if part_of(name, step.omitted) else optimizer
        for name, optimizer in zip(own.parameters, optimizers, strict=True)
    )
    coming = own.state.start(1)
    own.state.end()
    state = [own.failed, own.skipped, *own.of_step(coming, step.omitted)]
    numbers, rate = coming.table[0].clone(), [torch.zeros(())] if own.moves_target else []
    example = [own.hyper, numbers, torch.ones_like(own.failed), *state, *columns.values(), *rate]
    gathered = tuple(name not in given for name in columns) + (False,) * len(rate)
    stepped = {place for one in due if one is not None for place in range(one.start, one.stop)}
    counted = tuple(place in stepped for place in range(len(numbers)))
    layout = Layout(2, len(state), gathered, counted)
    return InPlaceSpec(UpdateStep(step, due, own.moves_target, own_rates), example, layout)


class _Update(NamedTuple):
    """Program of one kind of update. state: its parameters, moments and target parameters."""

    step: GradientStep
    run: TensorFn
    state: list[Tensor]


class WholeUpdates:
    """Updates of a learner by programs of `in_place_spec`.

    Args:
        steps: gradient steps and programs of whole updates, by omitted parts.
        periods: of the parts.
        own: of the learner.
    """

    def __init__(self, steps: Steps, periods: UpdatePeriods, own: SeedTensors) -> None:
        self._steps, self._periods, self._own = steps, periods, own
        self._column_names = next(iter(steps.values()))[0].column_names
        self._moments: Mapping[str, list[Tensor]] | None = None
        self._updates: dict[frozenset[str], _Update] = {}

    def learn(
        self, columns: Mapping[str, Tensor], epochs: Sequence[Tensor], enough: Tensor, log: UpdateLog, done: int
    ) -> tuple[int, dict[str, Tensor]]:
        """Take the updates of some epochs, until every seed has stopped.

        Args:
            columns: gathered ones [R, ...] and given ones [U, S, ...], by name.
            epochs: for each epoch the minibatches as row numbers, [M, S, B].
            enough: [S] bool, seeds with enough rows.
            log: of the updates.
            done: number of updates before.

        Returns:
            The number of updates, and the row outputs of the last one, name -> [S, B].
        """
        rows = epochs[0] if len(epochs) == 1 else torch.cat(list(epochs))
        before, after = self._inputs(columns, rows, enough, done)
        n_updates = 0
        names: Sequence[str] = ()
        outputs: Sequence[Tensor] = ()
        for epoch, minibatches in enumerate(epochs, start=1):
            for _ in range(len(minibatches)):
                n_updates += 1
                step, run, state = self._updates[self._periods.omitted(done + n_updates)]
                proceed, metrics, *outputs = run([*before, *state, *after])
                log.add(step.metric_names, metrics, proceed)
                names = step.row_names
            if epoch < len(epochs) and not proceed.any():
                break
        self._own.state.end()
        return n_updates, dict(zip(names, outputs, strict=True))

    def _inputs(
        self, columns: Mapping[str, Tensor], rows: Tensor, enough: Tensor, done: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the inputs before and after the state of a program."""
        own, coming = self._own, self._own.state.start(len(rows))
        if coming.moments is not self._moments:
            self._moments = coming.moments
            self._updates = {
                omitted: _Update(step, program.run, own.of_step(coming, omitted))
                for omitted, (step, program) in self._steps.items()
            }
        # Contiguous: compiled code reads the strides of its example.
        data = [columns[name].contiguous() for name in self._column_names]
        if own.target is not None and own.moves_target:
            data.append(own.target.rates(done, len(rows)))
        index = torch.zeros((), dtype=torch.long)
        fixed = [own.hyper, enough, own.failed, own.skipped]
        return [index, coming.counters, coming.table, *fixed], [rows, *data]
