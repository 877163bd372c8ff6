"""A whole update over all seeds, as a function of tensors: gradient, choice of seeds, optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tuneexp.learning.functional_state import Stepped
from tuneexp.learning.gradient import GradientStep


class Flags(NamedTuple):
    """Seeds [S] bool each: with enough rows, failed, skipped."""

    enough: Tensor
    failed: Tensor
    skipped: Tensor


def selected(flags: Flags, skip: Tensor, finite: Tensor) -> tuple[Tensor, Flags]:
    """Return the seeds that take an update [S] bool, and the flags after it, as `Learner` does in place.

    The gradient of a skipped seed is not applied, so that a non-finite one is no divergence.

    Args:
        flags: before the update.
        skip: [S] bool, seeds that the loss wants to skip.
        finite: [S] bool, seeds whose loss and gradient are finite.
    """
    failed = flags.failed | (~finite & flags.enough & ~flags.skipped)
    skipped = flags.skipped | (skip & finite)
    return ~(skipped | failed) & flags.enough, Flags(flags.enough, failed, skipped)


@dataclass(frozen=True)
class UpdateStep:
    """One update, a function of tensors.

    Inputs: [hyper [H], coefficients [C], enough [S], failed [S], skipped [S], *parameters [S, ...], *moments [S, ...],
    *columns [S, B, ...]]. Outputs: [proceed [S], failed [S], skipped [S], *parameters, *moments, metrics [K, S],
    *row outputs [S, B]].

    Args:
        gradient: gradient step without target parameters.
        optimizers: of each parameter; None: it stays as it is.
    """

    gradient: GradientStep
    optimizers: tuple[Stepped | None, ...]

    @property
    def n_moments(self) -> int:
        return sum(len(stepped.optimizer.moments) for stepped in self.optimizers if stepped is not None)

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        hyper, coefficients, enough, failed, skipped, *rest = inputs
        count = len(self.optimizers)
        parameters, columns = rest[:count], rest[count + self.n_moments :]
        gradients, verdict = self.gradient.by_leaf([hyper, *parameters, *columns])
        with torch.no_grad():
            proceed, flags = selected(Flags(enough, failed, skipped), verdict.skip, verdict.finite)
            after, moments = self._stepped(rest, gradients, proceed, coefficients)
        return [proceed, flags.failed, flags.skipped, *after, *moments, verdict.metrics, *verdict.rows]

    def _stepped(
        self, state: Sequence[Tensor], gradients: Sequence[Tensor], proceed: Tensor, coefficients: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return parameters and moments after the step of the seeds that proceed. state: parameters, then moments."""
        after, moments_after, place = [], [], len(self.optimizers)
        for stepped, parameter, gradient in zip(self.optimizers, state, gradients):  # moments follow
            if stepped is None:
                after.append(parameter)
                continue
            moments = state[place : place + len(stepped.optimizer.moments)]
            place += len(moments)
            numbers = coefficients[stepped.start : stepped.stop].unbind()
            new, own = stepped.optimizer.step(parameter, gradient, moments, numbers)
            chosen = proceed.view(-1, *(1,) * (parameter.dim() - 1))
            # Selected, not multiplied: a diverged seed's NaN stays its own.
            after.append(torch.where(chosen, new, parameter))
            moments_after += [torch.where(chosen, one, old) for one, old in zip(own, moments, strict=True)]
        return after, moments_after
