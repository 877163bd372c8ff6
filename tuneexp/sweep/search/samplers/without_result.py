"""Trials that ended without a result, in an Optuna study: the worst values so far, and a violated constraint.

No sampler learns from a diverged trial with the state FAIL. Here it is COMPLETE with the worst value of each objective
so far, and violates the constraint `outcome`. The values follow the worst ones: they are never better than a result.
Before there is a result the tell waits: the trial stays RUNNING. Everything is derived from the study itself, so it
goes through a kill with it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from optuna import Study, Trial
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuneexp.sweep.search.samplers.tells import tell
from tuneexp.sweep.search.samplers.worst import worst_values
from tuneexp.tracking.outcome import WITHOUT_RESULT

# User attribute of each trial of a study that has ended, and the constraint of those with and without a result.
OUTCOME = "outcome"
TAKEOVERS = "takeovers"  # user attribute of a member of a population that has continued from others
_CONSTRAINT = f"constraints:{OUTCOME}"
VIOLATED, SATISFIED = 1.0, -1.0


def has_result(trial: FrozenTrial) -> bool:
    """Return False for a trial whose values stand for a missing result. One that took over other values has none."""
    return trial.user_attrs.get(OUTCOME) not in WITHOUT_RESULT or TAKEOVERS in trial.user_attrs


def end(study: Study, trial: Trial, outcome: str, state: TrialState, values: Sequence[float] | None = None) -> bool:
    """End a trial with its outcome.

    Args:
        study: The study, in memory.
        trial: A running trial.
        outcome: Outcome as in `tuneexp.tracking.outcome`, stored as the user attribute `outcome`.
        state: Its state, if the outcome is one with a result, or an error.
        values: Its values; None unless it completed.

    Returns:
        True if the sampler has nothing more to suggest.
    """
    trial.set_user_attr(OUTCOME, outcome)
    stopped = False
    if not has_result(study._storage.get_trial(trial._trial_id)):
        trial.set_constraint(OUTCOME, VIOLATED)
    else:
        stopped = tell(study, trial, state, values)
    return settle(study) or stopped


def settle(study: Study) -> bool:
    """Complete the trials that wait, if there is a result by now, and update those completed before.

    Returns:
        True if the sampler has nothing more to suggest.
    """
    trials = study.get_trials(deepcopy=False)
    without = [trial for trial in trials if not has_result(trial)]
    if not without:
        return False
    _mark(study, trials)
    worst = worst_values(_results(study, trials), [one == StudyDirection.MAXIMIZE for one in study.directions])
    stopped = False
    for trial in without if worst is not None else ():
        if trial.state == TrialState.COMPLETE:
            if trial.values != worst:
                change(study, trial, values=worst)
        else:
            stopped |= _tell_late(study, trial, worst)
    return stopped


def give_up(study: Study) -> bool:
    """Tell FAIL for the trials that wait: all trials have ended, and none has a result."""
    waiting = [one for one in study.get_trials(deepcopy=False) if one.state == TrialState.RUNNING]
    told = [tell(study, Trial(study, one._trial_id), TrialState.FAIL) for one in waiting if not has_result(one)]
    return any(told)


def set_failed(study: Study) -> None:
    """Set each trial without a result to FAIL, for importances and plots that count every completed trial."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and not has_result(trial):
            change(study, trial, state=TrialState.FAIL, values=None)


def run_again(study: Study, trial: FrozenTrial) -> None:
    """Set a trial that has ended to RUNNING, without an outcome. Its reports stay. Optuna has no function for it."""
    outcome = {name: value for name, value in trial.user_attrs.items() if name != OUTCOME}
    constraints = {name: value for name, value in trial.system_attrs.items() if name != _CONSTRAINT}
    change(
        study, trial, state=TrialState.RUNNING, values=None, datetime_complete=None, user_attrs=outcome,
        system_attrs=constraints,
    )  # fmt: skip


def change(study: Study, trial: FrozenTrial, **fields: Any) -> None:
    """Replace fields of a trial in the study, also of one that has ended, which Optuna itself does not allow."""
    storage = study._storage
    assert isinstance(storage, InMemoryStorage)
    changed = copy.copy(trial)
    for name, value in fields.items():
        setattr(changed, name, value)
    storage._set_trial(trial._trial_id, changed)


def _mark(study: Study, trials: Sequence[FrozenTrial]) -> None:
    """Give each trial with a result the constraint: Optuna's Gaussian process needs it for all trials, or for none."""
    for trial in trials:
        ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        if ended and has_result(trial) and _CONSTRAINT not in trial.system_attrs:
            change(study, trial, system_attrs={**trial.system_attrs, _CONSTRAINT: SATISFIED})


def _results(study: Study, trials: Sequence[FrozenTrial]) -> list[Sequence[float]]:
    """Return the values of completed trials; with one objective, also the last report of each pruned one."""
    found: list[Sequence[float]] = []
    for trial in filter(has_result, trials):
        if trial.state == TrialState.COMPLETE:
            found.append(trial.values)
        elif trial.state == TrialState.PRUNED and len(study.directions) == 1 and trial.intermediate_values:
            found.append([trial.intermediate_values[max(trial.intermediate_values)]])
    return found


def _tell_late(study: Study, trial: FrozenTrial, values: Sequence[float] | None) -> bool:
    if trial.state != TrialState.RUNNING:  # `give_up` told it, and the sweep was extended
        change(study, trial, state=TrialState.RUNNING, datetime_complete=None)
    storage = study._storage
    assert isinstance(storage, InMemoryStorage)
    best = storage._studies[study._study_id].best_trial_id
    stopped = tell(study, Trial(study, trial._trial_id), TrialState.COMPLETE, values)
    storage._studies[study._study_id].best_trial_id = best  # it is no result
    return stopped
