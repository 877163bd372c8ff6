"""A whole update over all seeds, as a function of tensors: gradient, choice of seeds, optimizer, target networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tuneexp.learning.functional_state import Stepped
from tuneexp.learning.gradient import GradientStep
from tuneexp.learning.hyper import rate_ratios


class Flags(NamedTuple):
    """Seeds [S] bool each: with enough rows, failed, skipped."""

    enough: Tensor
    failed: Tensor
    skipped: Tensor

    @property
    def learning(self) -> Tensor:
        """Seeds that take the coming updates, [S] bool."""
        return ~(self.skipped | self.failed) & self.enough


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
    after = Flags(flags.enough, failed, skipped)
    return after.learning, after


@dataclass(frozen=True)
class UpdateStep:
    """One update, a function of tensors.

    Inputs: [hyper [S, H], coefficients [C], enough [S], failed [S], skipped [S], *parameters [S, ...],
    *moments [S, ...], *target parameters [S, ...], *columns [S, B, ...]], then the target's rate, 0-d, with
    `moves_target`. Outputs: [proceed [S], failed [S], skipped [S], *parameters, *moments, *target parameters, metrics
    [K, S], *row outputs [S, B]].

    Args:
        gradient: gradient step.
        optimizers: of each parameter; None: it stays as it is, and has no moments here.
        moves_target: target networks move with each update, by its rate.
        own_rates: seeds have learning rates of their own.
    """

    gradient: GradientStep
    optimizers: tuple[Stepped | None, ...]
    moves_target: bool = False
    own_rates: bool = False

    @property
    def n_moments(self) -> int:
        return sum(len(stepped.optimizer.moments) for stepped in self.optimizers if stepped is not None)

    @property
    def n_targets(self) -> int:
        return len(self.optimizers) if self.gradient.has_target else 0

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        hyper, coefficients, enough, failed, skipped, *rest = inputs
        count = len(self.optimizers)
        end = count + self.n_moments + self.n_targets
        parameters, targets, columns = rest[:count], rest[count + self.n_moments : end], rest[end:]
        rate = columns.pop() if self.moves_target else None
        gradients, verdict = self.gradient.by_leaf([hyper, *parameters, *targets, *columns])
        with torch.no_grad():
            proceed, flags = selected(Flags(enough, failed, skipped), verdict.skip, verdict.finite)
            ratios = rate_ratios(hyper, self.gradient.numeric) if self.own_rates else None
            after, moments = self._stepped(rest, gradients, proceed, coefficients, ratios)
            if rate is not None:
                targets = [moved(old, new, rate, proceed) for old, new in zip(targets, after, strict=True)]
        return [proceed, flags.failed, flags.skipped, *after, *moments, *targets, verdict.metrics, *verdict.rows]

    def _stepped(
        self,
        state: Sequence[Tensor],
        gradients: Sequence[Tensor],
        proceed: Tensor,
        coefficients: Tensor,
        ratios: Tensor | None,
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
            if ratios is not None:
                new = torch.lerp(parameter, new, _by_seed(ratios, parameter))
            # Selected, not multiplied: a diverged seed's NaN stays its own.
            chosen = _by_seed(proceed, parameter)
            after.append(torch.where(chosen, new, parameter))
            moments_after += [torch.where(chosen, one, old) for one, old in zip(own, moments, strict=True)]
        return after, moments_after


def moved(target: Tensor, online: Tensor, rate: Tensor, proceed: Tensor) -> Tensor:
    """Return a target parameter [S, ...] after an update. rate: 0-d; 1 is a copy, 0 no move; proceed: [S] bool."""
    return torch.where(_by_seed(proceed & (rate > 0), target), torch.lerp(target, online, rate), target)


def _by_seed(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *(1,) * (like.dim() - 1))
