"""Trials of earlier sweeps in an Optuna study. They come first, and don't count as trials of the sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuneexp.sweep.search.samplers.without_result import OUTCOME
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.tracking.outcome import COMPLETED

# User attribute: the sweep and the number of the trial there.
WARM_START = "warm_start"


def frozen_trial(
    space: SearchSpace, params: Mapping[str, Any], source: str, outcome: str, objective: float, env_steps: int
) -> FrozenTrial:
    """Return a trial for `study.add_trial`.

    Args:
        space: The search space, whose distributions the trial gets.
        params: Optuna parameters that the space can suggest.
        source: Sweep and number of the trial.
        outcome: "completed" or "pruned".
        objective: Its last objective.
        env_steps: Environment steps per seed at that time.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(dict(params))
    trial = study.ask()
    space.suggest(trial)
    done = outcome == COMPLETED
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if done else TrialState.PRUNED,
        value=objective if done else None,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values={env_steps: objective},
        user_attrs={WARM_START: source, OUTCOME: outcome},
    )


def count(study: optuna.Study) -> int:
    """Return the number of trials of earlier sweeps in a study: the study's number of the sweep's first trial."""
    trials = study.get_trials(deepcopy=False)
    return next((number for number, trial in enumerate(trials) if WARM_START not in trial.user_attrs), len(trials))
