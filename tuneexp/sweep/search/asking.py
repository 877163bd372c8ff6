"""Requests of valid suggestions from an Optuna study. Imports no Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import optuna

from tuneexp.errors import UserError
from tuneexp.sweep.search import earlier_trials
from tuneexp.sweep.search.samplers.tells import is_exhausted
from tuneexp.sweep.search.searched_budget import BUDGET
from tuneexp.sweep.search.space import InfeasiblePoint, SearchSpace

MOST_INFEASIBLE = 1000


def next_feasible(
    study: optuna.Study,
    space: SearchSpace,
    point_of: Callable[[int], Mapping[str, Any] | None],
    refuse: Callable[[optuna.Trial], object],
) -> tuple[optuna.Trial, dict[str, Any]] | None:
    """Return the next valid suggestion and its hyperparameters; None if the sampler has no more.

    Args:
        study: The study, perhaps with trials of earlier sweeps.
        space: The search space.
        point_of: Returns the values to try as the suggestion of that number; None for a free one.
        refuse: Tells the study a suggestion that violates a constraint.

    Raises:
        UserError: Too many suggestions in a row violate a constraint.
    """
    for _ in range(MOST_INFEASIBLE):
        if is_exhausted(study):
            return None
        point = point_of(len(study.get_trials(deepcopy=False)) - earlier_trials.count(study))
        if point is not None:
            study.enqueue_trial(dict(point))
        trial = study.ask()
        try:
            return trial, space.suggest(trial)
        except InfeasiblePoint:
            refuse(trial)
    raise UserError(
        f"{MOST_INFEASIBLE} suggestions in a row violate a constraint of the algorithm; narrow the search space"
    )


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return suggested values as settings of a trial: its hyperparameters, and its budget if that is searched."""
    settings: dict[str, Any] = {"hyperparameters": {name: value for name, value in values.items() if name != BUDGET}}
    return {**settings, BUDGET: int(values[BUDGET])} if BUDGET in values else settings
