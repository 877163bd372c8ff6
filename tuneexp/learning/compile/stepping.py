"""Module of a program that takes one step of a loop: it reads the inputs of the step, updates the state in place and
writes the results of the step into rows.

The function inside is traced for fixed shapes. Around it, the number of steps is dynamic, so that fragments of other
lengths share the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from tuneexp.learning.compile.in_place import InPlace, at_index


@dataclass(frozen=True)
class StepLayout:
    """Inputs of the module: [index, *fixed, *state, *columns [D, ...], *results [T, ...]].

    index: 0-d int64, number of the step, counted up. Both D and T are at least 2, see `LEAST_ROWS`.

    Args:
        n_fixed: tensors that are only read.
        n_state: tensors that are updated in place.
        held: for each column, the number of steps that use the same row; -1: all steps use the first one.
    """

    n_fixed: int
    n_state: int
    held: tuple[int, ...]

    def around(self, graph: fx.GraphModule) -> Stepping:
        return Stepping(graph, self)


# Compiled code takes an axis of one row for one that is never longer.
LEAST_ROWS = 2


class Stepping(InPlace):
    """Takes one step.

    The function: [index, *fixed, *state, *columns [...]] -> [*state, *results [...]]. Returns (index after the step,).
    """

    layout: Any

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        held, n_state = self.layout.held, self.layout.n_state
        n_kept = 1 + self.layout.n_fixed + n_state
        (index, *_), columns, results = (
            inputs[:n_kept],
            inputs[n_kept : n_kept + len(held)],
            inputs[n_kept + len(held) :],
        )
        given = [column[0] if every == -1 else at_index(column, index // every)
                 for column, every in zip(columns, held, strict=True)]  # fmt: skip
        outputs = self.body(*inputs[:n_kept], *given)
        for result, row in zip(results, outputs[n_state:], strict=True):
            result.index_copy_(0, index.view(1), row.unsqueeze(0))
        # Clones: a tensor of the new state may be one of the old state.
        for old, new in zip(inputs[n_kept - n_state : n_kept], [one.clone() for one in outputs[:n_state]], strict=True):
            old.copy_(new)
        index.add_(1)
        return (index.clone(),)

    def exported(self, inputs: Sequence[Tensor]) -> torch.export.ExportedProgram:
        layout, steps = self.layout, torch.export.Dim("steps")
        constant = [None] * (1 + layout.n_fixed + layout.n_state)
        columns = [
            {0: steps if every == 1 else torch.export.Dim(f"draws_{number}")} if every > 0 else None
            for number, every in enumerate(layout.held)
        ]
        results = [{0: steps}] * (len(inputs) - len(constant) - len(columns))
        with torch.no_grad():
            return torch.export.export(self, tuple(inputs), dynamic_shapes=((*constant, *columns, *results),))

    def example(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        layout = self.layout
        n_kept = 1 + layout.n_fixed + layout.n_state
        rows = [EXAMPLE_STEPS if every == 1 else LEAST_ROWS + number for number, every in enumerate(layout.held)]
        columns = [
            draw.expand(1 if every == -1 else n_rows, *draw.shape).contiguous()
            for draw, n_rows, every in zip(inputs[n_kept:], rows, layout.held, strict=True)
        ]
        with torch.no_grad():
            results = self.body(*inputs)[layout.n_state :]
        made = [result.new_zeros(EXAMPLE_STEPS, *result.shape) for result in results]
        # Clones: torch.export takes views of one tensor for one input.
        return [*(tensor.clone() for tensor in inputs[:n_kept]), *columns, *made]


EXAMPLE_STEPS = 11
