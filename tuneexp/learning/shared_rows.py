"""Data-parallel gradient step: learners compute different rows of a minibatch and all-reduce the gradient."""

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
"""Switch of a configuration -> the column that it normalises within each minibatch."""


def normalised_columns(static: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """Return the columns that must be normalised over the whole minibatch before it is split."""
    return [column for switch, column in NORMALISED.items() if static.get(switch) and column in columns]


def of_some_rows(step: GradientStep) -> GradientStep:
    """Return the step for some rows of a minibatch, whose columns are normalised already."""
    done = {switch: False for switch in NORMALISED if switch in step.static}
    return replace(step, static={**step.static, **done}, partial=True)


@dataclass(frozen=True)
class RowSums:
    """Sums over rows that learners all-reduce, in one tensor.

    Per seed: the outputs of a partial step times the number of rows that they are means over, and that number. If the
    loss reads `mask`, the rows or steps that it marks are counted, so that the sum is that of a masked mean.

    Args:
        step: partial.
        stack: the parameters.
    """

    step: GradientStep
    stack: FlatStack

    def packed(self, outputs: Sequence[Tensor], columns: Sequence[Tensor], n_rows: int) -> Tensor:
        """Return the sums of this learner, [P + (K + 3) * S].

        Args:
            outputs: of the partial step.
            columns: its inputs, [S, n_rows, ...] each.
            n_rows: rows of this learner.
        """
        flat, metrics, skip, total = outputs[:4]
        counts = self._counts(columns, n_rows, like=total)
        per_seed = torch.cat([metrics, skip.to(total.dtype)[None], total[None]]) * counts
        return torch.cat([flat * self.stack.per_element(counts), per_seed.flatten(), counts])

    def _counts(self, columns: Sequence[Tensor], n_rows: int, like: Tensor) -> Tensor:
        names = self.step.column_names
        if "mask" not in names or "mask" not in self.step.columns_read:
            return torch.full_like(like, float(n_rows))
        return columns[names.index("mask")].flatten(1).sum(1).to(like.dtype)

    def means(self, packed: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return means over all rows: flat gradient [P], metrics [K, S], skip [S], total [S].

        `skip` is above 0 if a bool is True in any learner, or if the mean of a number is above 0.

        Args:
            packed: sum over learners, [P + (K + 3) * S].
        """
        flat, rest = packed.split([self.stack.flat.numel(), packed.numel() - self.stack.flat.numel()])
        *per_seed, counts = rest.view(-1, self.stack.n_seeds)
        counts = counts.clamp(min=1.0)
        *metrics, skip, total = torch.stack(per_seed) / counts
        return flat / self.stack.per_element(counts), torch.stack(metrics), skip, total


def combined(step: GradientStep, program: Program, stack: FlatStack, n_rows: int) -> Program:
    """Return the program of a whole step, which all processes of torch's default process group run together.

    Gradients are averaged over all rows. Each process then clips and checks them alike.

    Args:
        step: partial.
        program: of `step`.
        stack: the parameters.
        n_rows: rows of this process.
    """
    sums = RowSums(step, stack)

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            outputs = program.run(inputs)
            packed = sums.packed(outputs, inputs[-len(step.column_names) :], n_rows)
            distributed.all_reduce(packed)
            flat, metrics, skip, total = sums.means(packed)
            losses = SeedLosses(total, metrics, skip, tuple(outputs[4:]))
            cfg = view_of_tensor(step.static, step.numeric, inputs[0])
            return step.judged(losses, list(stack.split(flat).values()), cfg)

    return replace(program, run=run)
