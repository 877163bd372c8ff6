"""One gradient step of several learners: each computes some rows of the minibatch, and all take the same step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, distributed

from tuneexp.learning.compile.program import Program
from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.gradient import GradientStep, SeedLosses
from tuneexp.learning.hyper import view_of_tensor

NORMALISED = {"normalize_advantage": "advantage"}
"""Switches of configurations, and the column that each of them has normalised within every minibatch."""


def normalised_columns(static: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    return [column for switch, column in NORMALISED.items() if static.get(switch) and column in columns]


def of_some_rows(step: GradientStep) -> GradientStep:
    """The step for some rows of a minibatch, whose columns were normalised over the whole of it before."""
    done = {switch: False for switch in NORMALISED if switch in step.static}
    return replace(step, static={**step.static, **done}, partial=True)


@dataclass(frozen=True)
class RowSums:
    """What learners add up, in one tensor: of each seed the outputs of a partial step, times the rows that they are
    means over, and the number of these rows. Where the loss reads `mask`, the rows or steps count that it names, so
    that a masked mean is whole again."""

    step: GradientStep
    stack: FlatStack

    def packed(self, outputs: Sequence[Tensor], columns: Sequence[Tensor], n_rows: int) -> Tensor:
        """outputs: of a partial step; columns: that it was given, [S, n_rows, ...] each. Returns [P + (K + 3) * S]."""
        flat, statistics, skip, total = outputs[:4]
        counts = self._counts(columns, n_rows, like=total)
        per_seed = torch.cat([statistics, skip.to(total.dtype)[None], total[None]]) * counts
        return torch.cat([flat * self.stack.per_element(counts), per_seed.flatten(), counts])

    def _counts(self, columns: Sequence[Tensor], n_rows: int, like: Tensor) -> Tensor:
        names = self.step.column_names
        if "mask" not in names or "mask" not in self.step.columns_read:
            return torch.full_like(like, float(n_rows))
        return columns[names.index("mask")].flatten(1).sum(1).to(like.dtype)

    def means(self, packed: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """packed: the sum over learners. Returns flat gradient [P], statistics [K, S], skip [S], total [S]: means over
        all rows. `skip` is above 0 where a bool is True for any learner, or where the mean of a number is above 0."""
        flat, rest = packed.split([self.stack.flat.numel(), packed.numel() - self.stack.flat.numel()])
        *per_seed, counts = rest.view(-1, self.stack.n_seeds)
        counts = counts.clamp(min=1.0)
        *statistics, skip, total = torch.stack(per_seed) / counts
        return flat / self.stack.per_element(counts), torch.stack(statistics), skip, total


def combined(step: GradientStep, program: Program, stack: FlatStack, n_rows: int) -> Program:
    """step: partial, for `n_rows` rows of this process; `program` is built from it. The program of a step that isn't
    partial, run by all processes of torch's default process group at once: gradients are averaged over all rows, and
    then clipped and judged, by each process alike."""
    sums = RowSums(step, stack)

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            outputs = program.run(inputs)
            packed = sums.packed(outputs, inputs[-len(step.column_names) :], n_rows)
            distributed.all_reduce(packed)
            flat, statistics, skip, total = sums.means(packed)
            losses = SeedLosses(total, statistics, skip, tuple(outputs[4:]))
            cfg = view_of_tensor(step.static, step.numeric, inputs[0])
            return step.judged(losses, list(stack.split(flat).values()), cfg)

    return replace(program, run=run)
