"""State of torch's optimizer as the functional optimizers of a program use it: moments by parameter, in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.functional_optimizers import FunctionalOptimizer, functional
from tuneexp.learning.optimizer import Block, StackedOptimizer

# Rows of a table whose numbers stay: training with an update a step makes a new one every 256 updates.
ROWS_AHEAD = 256


class Stepped(NamedTuple):
    """Functional optimizer of one parameter. start, stop: its numbers in a row of the table of coefficients."""

    optimizer: FunctionalOptimizer
    start: int
    stop: int


class Coming(NamedTuple):
    """Data of the coming steps.

    Args:
        table: coefficients [T, C], one row a step.
        counters: int64 [C], the row of the next step. A program counts them up; those of parameters that it does not
            step stay.
        moments: name of a leaf -> its moments, views [S, ...].
    """

    table: Tensor
    counters: Tensor
    moments: Mapping[str, list[Tensor]]


def functional_optimizers(optimizer: StackedOptimizer, stack: FlatStack) -> tuple[Stepped | None, ...] | None:
    """Return the functional optimizer of each leaf, None for a leaf that is not stepped.

    Returns None if one of the groups has no functional optimizer."""
    found: dict[str, Stepped] = {}
    start = 0
    for group, blocks in _stepped_together(optimizer):
        twin = functional(optimizer.optimizer, group)
        if twin is None:
            return None
        stop = start + twin.coefficients(group, 0, 1).shape[1]
        for block in blocks:
            found |= dict.fromkeys(block.names, Stepped(twin, start, stop))
        start = stop
    return tuple(found.get(name) for name in stack.shapes)


def _stepped_together(optimizer: StackedOptimizer) -> Iterator[tuple[dict[str, Any], list[Block]]]:
    """Yield each group's blocks by part: a part with an update period has a step counter of its own."""
    by_parameter = {id(block.parameter): block for block in optimizer.blocks}
    for group in optimizer.optimizer.param_groups:
        of_part: dict[str | None, list[Block]] = {}
        for parameter in group["params"]:
            block = by_parameter[id(parameter)]
            of_part.setdefault(block.part, []).append(block)
        yield from ((group, blocks) for blocks in of_part.values())


class _Family(NamedTuple):
    """Blocks that are stepped together. start: of their numbers in a row of the table."""

    twin: FunctionalOptimizer
    group: dict[str, Any]
    blocks: list[Block]
    start: int


class FunctionalState:
    """Steps of a program on the state of torch's optimizer, which stays the owner.

    Args:
        optimizer: one with functional twins.
        stack: the parameters.
    """

    def __init__(self, optimizer: StackedOptimizer, stack: FlatStack) -> None:
        self._optimizer, self._stack = optimizer, stack
        self._numbers: list[Any] = []
        self._families: list[_Family] = []
        self._held: list[Tensor] = []
        self._moments: dict[str, list[Tensor]] = {}
        self._new: list[Block] = []
        self._first: list[int] = []  # steps done at the first row of the table, of each family
        self._rows: list[int] = []  # next row of each family
        self._table, self._counters = torch.empty(0, 0), torch.empty(0, dtype=torch.long)

    def start(self, n_steps: int) -> Coming:
        """Prepare the coming `n_steps` steps, or fewer."""
        numbers = [[value for key, value in group.items() if key != "params"] for group in self._groups]
        same = numbers == self._numbers
        if not same:
            self._numbers, self._families = numbers, self._twins()
        self._new = []
        done = [max(self._ready(family.twin, block) for block in family.blocks) for family in self._families]
        self._find_moments()
        self._find_rows(done, n_steps, same)
        return Coming(self._table, self._counters, self._moments)

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self._optimizer.optimizer.param_groups

    @property
    def _state(self) -> dict[Tensor, dict[str, Any]]:
        return self._optimizer.optimizer.state

    def _twins(self) -> list[_Family]:
        families, start = [], 0
        for group, blocks in _stepped_together(self._optimizer):
            twin = functional(self._optimizer.optimizer, group)
            assert twin is not None
            families.append(_Family(twin, group, blocks, start))
            start += twin.coefficients(group, 0, 1).shape[1]
        return families

    def _ready(self, twin: FunctionalOptimizer, block: Block) -> int:
        """Make the state of a first step, as torch does. Returns the number of steps done; 1 for any if not counted."""
        if not (twin.moments or twin.counts_steps):
            return 1
        state = self._state[block.parameter]
        missing = [name for name in twin.moments if state.get(name) is None]
        if missing:
            self._new.append(block)
            state.update({name: torch.zeros_like(block.parameter.detach()) for name in missing})
        if not twin.counts_steps:
            return int(not missing)
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)
        return int(state["step"])

    def _find_moments(self) -> None:
        state = self._state
        held = [
            state[block.parameter][name]
            for family in self._families for block in family.blocks for name in family.twin.moments
        ]  # fmt: skip
        # Loading a checkpoint replaces the moments.
        if len(held) != len(self._held) or any(one is not own for one, own in zip(held, self._held)):
            self._held, self._moments = held, self._views()

    def _views(self) -> dict[str, list[Tensor]]:
        views: dict[str, list[Tensor]] = {}
        for family in self._families:
            for block in family.blocks:
                moments = [self._state[block.parameter][name] for name in family.twin.moments]
                for leaf in block.names:
                    span, first = self._stack.spans[leaf], block.span.start
                    own = [moment[span.start - first : span.stop - first] for moment in moments]
                    views[leaf] = [moment.view(self._stack.shapes[leaf]) for moment in own]
        return views

    def _find_rows(self, done: Sequence[int], n_steps: int, same: bool) -> None:
        """Find the rows of the coming steps, in a new table if they are not in the present one."""
        rows = [now - first for now, first in zip(done, self._first)]
        if not same or any(not 0 <= row <= len(self._table) - n_steps for row in rows):
            length = max(n_steps, ROWS_AHEAD) if same else n_steps
            tables = [family.twin.coefficients(family.group, now, length) for family, now in zip(self._families, done)]
            self._table = torch.cat(tables, 1)
            self._first, rows = list(done), [0] * len(done)
            self._rows = []
        if rows != self._rows:
            widths = self._widths()
            self._counters = torch.tensor([row for row, width in zip(rows, widths) for _ in range(width)])
            self._rows = rows

    def _widths(self) -> list[int]:
        starts = [family.start for family in self._families]
        return [stop - start for start, stop in zip(starts, [*starts[1:], self._table.shape[1]])]

    def end(self) -> None:
        """Count the steps that were taken. Without any, torch's optimizer gets no state that it had not before."""
        counters = self._counters.tolist()
        rows = [counters[family.start] for family in self._families]
        for family, row, before in zip(self._families, rows, self._rows, strict=True):
            for block in family.blocks:
                if row > before and family.twin.counts_steps:
                    self._state[block.parameter]["step"] += row - before
                elif row == before and any(block is new for new in self._new):
                    del self._state[block.parameter]
        self._rows = rows
