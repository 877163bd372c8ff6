"""Modules of programs that update their state in place, and that of a whole update, which gathers its minibatch.

The function inside is traced for fixed shapes. Around it, the number of rows and of updates is dynamic, so that trials
with other lengths of a rollout, other numbers of epochs or another replay buffer share the program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Layout:
    """Inputs of the module: [index, counters [C], table [T, C], *fixed, *state, rows [U, S, B], *columns].

    index: 0-d int64, number of the update, counted up. counters: int64, row of the table for each of its columns,
    counted up by each update that any seed takes.

    Args:
        n_fixed: tensors that are only read.
        n_state: tensors that are updated in place.
        gathered: for each column: it is [N, ...] and `rows` are read from it; else it is [U, ...].
        counted: for each column of the table: its counter counts the updates of this program.
    """

    n_fixed: int
    n_state: int
    gathered: tuple[bool, ...]
    counted: tuple[bool, ...]

    def around(self, graph: fx.GraphModule) -> WholeUpdate:
        return WholeUpdate(graph, self)


class InPlace(nn.Module, ABC):
    """Calls a function and writes the new state over the old one.

    Args:
        graph: the traced function.
        layout: of the inputs.
    """

    def __init__(self, graph: fx.GraphModule, layout: Any) -> None:
        super().__init__()
        self.body, self.layout = graph, layout

    @property
    def code(self) -> str:
        """Text that the compiled code depends on."""
        return f"{self.layout}\n{self.body.code}"

    @abstractmethod
    def exported(self, inputs: Sequence[Tensor]) -> torch.export.ExportedProgram:
        """Return the exported module. inputs: from `example`."""

    @abstractmethod
    def example(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return example inputs of the module. inputs: of the function."""


class WholeUpdate(InPlace):
    """Gathers a minibatch and takes the update.

    The function: [fixed[0], numbers [C] of the table, *fixed[1:], *state, *columns [S, B, ...]] -> [proceed [S],
    *state, *outputs]. A state that it returns as it is, is not written. Returns (proceed, *outputs).
    """

    counted: Tensor

    def __init__(self, graph: fx.GraphModule, layout: Layout) -> None:
        super().__init__(graph, layout)
        self.register_buffer("counted", torch.tensor(layout.counted, dtype=torch.long))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        layout = self.layout
        index, counters, table, *rest = inputs
        fixed, rest = rest[: layout.n_fixed], rest[layout.n_fixed :]
        state, (rows, *columns) = rest[: layout.n_state], rest[layout.n_state :]
        chosen, numbers = at_index(rows, index), table.gather(0, counters[None]).squeeze(0)
        minibatch = [
            _gathered(column, chosen) if gathered else at_index(column, index)
            for column, gathered in zip(columns, layout.gathered, strict=True)
        ]
        proceed, *outputs = self.body(fixed[0], numbers, *fixed[1:], *state, *minibatch)
        for old, new in zip(state, outputs[: layout.n_state], strict=True):
            if new is not old:
                old.copy_(new)
        counters.add_(proceed.any() * self.counted)
        index.add_(1)
        return (proceed, *outputs[layout.n_state :])

    def exported(self, inputs: Sequence[Tensor]) -> torch.export.ExportedProgram:
        steps, updates, rows = (torch.export.Dim(name) for name in ("steps", "updates", "rows"))
        constant = [None] * (self.layout.n_fixed + self.layout.n_state)
        columns = [{0: rows} if gathered else {0: updates} for gathered in self.layout.gathered]
        shapes = ((None, None, {0: steps}, *constant, {0: updates}, *columns),)
        with torch.no_grad():
            return torch.export.export(self, tuple(inputs), dynamic_shapes=shapes)

    def example(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        fixed_0, numbers, *rest = inputs
        end = len(rest) - len(self.layout.gathered)
        columns = [
            column.new_zeros(EXAMPLE_ROWS if gathered else EXAMPLE_UPDATES, *column.shape[2 if gathered else 0 :])
            for column, gathered in zip(rest[end:], self.layout.gathered, strict=True)
        ]
        of_rows = next(column for column, gathered in zip(rest[end:], self.layout.gathered, strict=True) if gathered)
        rows = torch.zeros(EXAMPLE_UPDATES, *of_rows.shape[:2], dtype=torch.long)
        index, counters = torch.zeros((), dtype=torch.long), torch.zeros(numbers.shape, dtype=torch.long)
        table = numbers.new_zeros(EXAMPLE_STEPS, *numbers.shape)
        # Clones: torch.export takes views of one tensor for one input.
        return [index, counters, table, *(tensor.clone() for tensor in (fixed_0, *rest[:end])), rows, *columns]


# Sizes of the dynamic axes in an example: neither 1, which is special, nor equal.
EXAMPLE_STEPS, EXAMPLE_UPDATES, EXAMPLE_ROWS = 11, 7, 1009


def at_index(tensor: Tensor, index: Tensor) -> Tensor:
    """Return `tensor[index]` for a 0-d index, which is not read while tracing."""
    return tensor.index_select(0, index.view(1)).squeeze(0)


def _gathered(column: Tensor, rows: Tensor) -> Tensor:
    return column.index_select(0, rows.view(-1)).view(*rows.shape, *column.shape[1:])
