"""State of torch's optimizer as the functional optimizers of a program use it: moments by parameter, in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.functional_optimizers import FunctionalOptimizer, functional
from tuneexp.learning.optimizer import Block, StackedOptimizer


class Stepped(NamedTuple):
    """Functional optimizer of one parameter. start, stop: its numbers in a row of the table of coefficients."""

    optimizer: FunctionalOptimizer
    start: int
    stop: int


def functional_optimizers(optimizer: StackedOptimizer, stack: FlatStack) -> tuple[Stepped | None, ...] | None:
    """Return the functional optimizer of each leaf, None for a leaf that is not stepped.

    Returns None if one of the groups has no functional optimizer."""
    found: dict[str, Stepped] = {}
    start = 0
    for group, blocks in _groups(optimizer):
        twin = functional(optimizer.optimizer, group)
        if twin is None:
            return None
        stop = start + twin.coefficients(group, 0, 1).shape[1]
        for block in blocks:
            found |= dict.fromkeys(block.names, Stepped(twin, start, stop))
        start = stop
    return tuple(found.get(name) for name in stack.shapes)


def _groups(optimizer: StackedOptimizer) -> list[tuple[dict[str, Any], list[Block]]]:
    by_parameter = {id(block.parameter): block for block in optimizer.blocks}
    return [(group, [by_parameter[id(p)] for p in group["params"]]) for group in optimizer.optimizer.param_groups]


class FunctionalState:
    """Steps of a program on the state of torch's optimizer, which stays the owner.

    Args:
        optimizer: one with functional twins.
        stack: the parameters.
    """

    def __init__(self, optimizer: StackedOptimizer, stack: FlatStack) -> None:
        self._optimizer, self._stack = optimizer, stack
        self._held: list[Tensor] = []
        self._moments: list[Tensor] = []
        self._new: list[Block] = []

    def start(self, n_steps: int) -> tuple[Tensor, list[Tensor]]:
        """Prepare steps.

        Returns:
            The coefficients of the coming `n_steps` steps, [n_steps, C], and the moments of each leaf in turn, views
            [S, ...].
        """
        tables: list[Tensor] = []
        held: list[Tensor] = []
        self._new = []
        for twin, group, blocks in self._twins():
            done = [self._ready(twin, block) for block in blocks]
            tables.append(twin.coefficients(group, max(done, default=0), n_steps))
            held += [self._state[block.parameter][name] for block in blocks for name in twin.moments]
        # Loading a checkpoint replaces the moments.
        if len(held) != len(self._held) or any(one is not own for one, own in zip(held, self._held, strict=True)):
            self._held, self._moments = held, self._views()
        return torch.cat(tables, 1), self._moments

    @property
    def _state(self) -> dict[Tensor, dict[str, Any]]:
        return self._optimizer.optimizer.state

    def _twins(self) -> Iterator[tuple[FunctionalOptimizer, dict[str, Any], list[Block]]]:
        for group, blocks in _groups(self._optimizer):
            twin = functional(self._optimizer.optimizer, group)
            assert twin is not None
            yield twin, group, blocks

    def _ready(self, twin: FunctionalOptimizer, block: Block) -> int:
        """Make the state of a first step, as torch does. Returns the number of steps done; 1 for any if not counted."""
        if not (twin.moments or twin.counts_steps):
            return 1
        state = self._state[block.parameter]
        missing = [name for name in twin.moments if state.get(name) is None]
        if missing:
            self._new.append(block)
        if twin.counts_steps:
            state.setdefault("step", torch.zeros((), dtype=torch.float32))
        state.update({name: torch.zeros_like(block.parameter.detach()) for name in missing})
        return int(state["step"]) if twin.counts_steps else int(not missing)

    def _views(self) -> list[Tensor]:
        views: dict[str, list[Tensor]] = {}
        for twin, _, blocks in self._twins():
            for block in blocks:
                moments = [self._state[block.parameter][name] for name in twin.moments]
                for leaf in block.names:
                    span, first = self._stack.spans[leaf], block.span.start
                    own = [moment[span.start - first : span.stop - first] for moment in moments]
                    views[leaf] = [moment.view(self._stack.shapes[leaf]) for moment in own]
        return [moment for leaf in self._stack.shapes for moment in views.get(leaf, ())]

    def end(self, n_taken: int) -> None:
        """Count the steps that were taken. Without any, torch's optimizer gets no state that it had not before."""
        if not n_taken:
            for block in self._new:
                del self._state[block.parameter]
            return
        for twin, _, blocks in self._twins():
            for block in blocks if twin.counts_steps else ():
                self._state[block.parameter]["step"] += n_taken
