"""Study of random trials of a search space, to find out which names its trials have."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from tuneexp.sweep.search.space.rehearsal import REHEARSALS
from tuneexp.sweep.search.space.walk import InfeasiblePoint

if TYPE_CHECKING:
    from tuneexp.sweep.search.space import SearchSpace


def random_study(space: SearchSpace) -> optuna.Study:
    """Return a study of the initial points and of random trials, all completed with arbitrary scores."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    for point in space.initial_params():
        study.enqueue_trial(point)
    for number in range(REHEARSALS):
        trial = study.ask()
        try:
            space.suggest(trial)
        except InfeasiblePoint:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, float(number))
    return study


def takes_objectives(sampler: BaseSampler, space: SearchSpace, count: int) -> bool:
    """Return True if a sampler suggests trials of a study with `count` objectives. A copy of it is asked once."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked: BaseSampler = pickle.loads(pickle.dumps(sampler))
    study = optuna.create_study(sampler=asked, directions=["maximize"] * count)
    try:
        with suppress(InfeasiblePoint):
            space.suggest(study.ask())
    except ValueError:
        return False
    return True


def valid_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the completed trials of a random study."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def varied_names(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the names with more than one value, in the order in which they are suggested."""
    found: dict[str, bool] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found[name] = found.get(name, False) or not distribution.single()
    return [name for name, varies in found.items() if varies]


def constant_names(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the names that every trial has, with the same distribution."""
    first, *others = [trial.distributions for trial in trials]
    return [name for name, one in first.items() if all(other.get(name) == one for other in others)]
