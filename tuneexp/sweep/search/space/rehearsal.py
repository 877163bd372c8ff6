"""Random suggestions before a sweep, to refuse an infeasible space before any trial starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tuneexp.errors import UserError
from tuneexp.sweep.search.space.walk import InfeasiblePoint

if TYPE_CHECKING:
    from optuna.trial import Trial

REHEARSALS = 64


def rehearse(suggest: Callable[[Trial], Any]) -> None:
    """Raise UserError, with the first reason, if none of 64 random suggestions is a valid configuration."""
    import optuna

    reasons: list[str] = []
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(REHEARSALS):
            try:
                suggest(study.ask())
            except InfeasiblePoint as problem:
                reasons.append(str(problem))
    finally:
        optuna.logging.set_verbosity(verbosity)
    if len(reasons) == REHEARSALS:
        raise UserError(f"none of {REHEARSALS} random points of the space is valid; first reason: {reasons[0]}")
