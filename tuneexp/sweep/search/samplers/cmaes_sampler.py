"""Optuna's CMA-ES sampler without hyperparameters that some trials lack."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import CmaEsSampler as OfOptuna
from optuna.trial import FrozenTrial, TrialState


class CmaEsSampler(OfOptuna):
    """Model only the names that every trial has.

    Optuna's sampler starts with the names that the trials up to then have in common. If a later trial lacks one of
    them, the number of dimensions changes, and Optuna's sampler draws at random from then on.

    Args:
        always: The names that every trial has; None for all.
        arguments: Arguments of Optuna's sampler.
    """

    def __init__(self, always: Collection[str] | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._always = None if always is None else frozenset(always)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        common = super().infer_relative_search_space(study, trial)
        return {name: one for name, one in common.items() if self._always is None or name in self._always}

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Do as Optuna's sampler, without its warning for each trial that has a constraint."""
        self._independent_sampler.after_trial(study, trial, state, values)
