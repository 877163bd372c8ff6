"""Configurations that a confirmation trains: the best of a sweep, the algorithm's defaults, the best of a random
search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.nesting import flat_of_dotted, nested
from tuneexp.sweep.member_training import training_of
from tuneexp.sweep.results import SweepResult, TrialResult
from tuneexp.sweep.search.metrics import DEFAULT
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.tracking.outcome import COMPLETED

DEFAULTS, RANDOM_SEARCH = "defaults", "random search"
_TRIAL = "trial "
MOST = 3  # of the best trials, by default
_RETURNS = (DEFAULT, "return_mean")  # metrics that each seed has, larger is better


@dataclass(frozen=True)
class Candidate:
    """A configuration to train.

    Attributes:
        name: "trial 3", "defaults" or "random search".
        config: Its hyperparameters, nested; others have their defaults.
        schedule: Changes of them while it trains, as in `TrialConfig`.
    """

    name: str
    config: Mapping[str, Any]
    schedule: list[dict[str, Any]] = field(default_factory=list)


def trial_of(name: str) -> int | None:
    """Return the number of the tuning trial that a candidate repeats; None for another candidate."""
    return int(name.removeprefix(_TRIAL)) if name.startswith(_TRIAL) else None


def return_metric(objectives: Objectives) -> str:
    """Return the first objective of a sweep that is a return. UserError if there is none."""
    for name, direction in zip(objectives.names, objectives.directions, strict=True):
        if name in _RETURNS and direction == "max":
            return name
    raise UserError(
        f"a confirmation compares returns, and this sweep optimizes {', '.join(objectives.names)} only; "
        "add return_mean to the objectives of a sweep to confirm it"
    )


def best_trials(result: SweepResult, objectives: Objectives, top: int | None = None) -> list[TrialResult]:
    """Return the best trials of a sweep, the best first, each configuration once.

    With several objectives, those of the Pareto front, by their return. Members of a population are equal if they were
    trained with equal values at all environment steps.

    Args:
        result: The sweep.
        objectives: What it optimizes.
        top: Number of trials; None for three, or fewer if there are fewer.

    Raises:
        UserError: There are fewer than `top`.
    """
    by_return = return_metric(objectives)
    pool = result.front if objectives.several else result.trials
    fit = [one for one in pool if one.outcome == COMPLETED and by_return in one.objectives and not one.violated]
    distinct: dict[str, TrialResult] = {}
    for trial in sorted(fit, key=lambda one: (-one.objectives[by_return], one.trial_number)):
        distinct.setdefault(json.dumps(vars(training_of(result, trial)), sort_keys=True, default=str), trial)
    found = list(distinct.values())
    if not found:
        see = command("show", result.name, storage=result.storage)
        raise UserError(f"no trial of sweep {result.name!r} has completed, so there is nothing to confirm; see: {see}")
    if top is not None and top > len(found):
        where = "on the Pareto front of" if objectives.several else "completed in"
        raise UserError(f"{len(found)} configurations are {where} sweep {result.name!r}; write --top {len(found)}")
    return found[: top or MOST]


def candidates(
    result: SweepResult,
    best: list[TrialResult],
    fixed: Mapping[str, Any],
    random_best: Mapping[str, Any] | None = None,
) -> list[Candidate]:
    """Return the configurations of a confirmation. Members of a population are trained with their schedules.

    Args:
        result: The sweep.
        best: Its best trials.
        fixed: Hyperparameters that all trials of the sweep share. The defaults have them, too.
        random_best: Best configuration of the random search; None if there is none.
    """
    others = [Candidate(DEFAULTS, nested(flat_of_dotted(fixed)))]
    if random_best is not None:
        others.append(Candidate(RANDOM_SEARCH, random_best))
    return [_repeated(result, one) for one in best] + others


def _repeated(result: SweepResult, trial: TrialResult) -> Candidate:
    training = training_of(result, trial)
    return Candidate(f"{_TRIAL}{trial.trial_number}", training.hyperparameters, training.schedule)
