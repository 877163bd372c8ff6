"""Reports and violated constraints of a trial in an Optuna study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

# User attributes: standard error of the objective over seeds in the last report, and the number of seeds.
STANDARD_ERROR, SEEDS = "standard_error", "seeds"
REPORTS = "reports"  # user attribute: environment steps -> values, in a study with several objectives


def report(trial: optuna.Trial, values: Sequence[float], env_steps: int) -> None:
    """Store the values of a report once per environment step: Tune repeats the last result, and a resume some.

    Optuna has no intermediate values for several objectives: these are an attribute of the trial. A paused trial that
    is retried up to its pause has reported everything before.

    Args:
        trial: The trial.
        values: Finite values, one for each objective.
        env_steps: Environment steps per seed.
    """
    stored = trial.storage.get_trial(trial._trial_id)
    if stored.state.is_finished():
        return
    if len(values) > 1:
        trial.set_user_attr(REPORTS, {**stored.user_attrs.get(REPORTS, {}), str(env_steps): list(values)})
    elif env_steps not in stored.intermediate_values:
        trial.report(values[0], env_steps)


def set_standard_error(trial: optuna.Trial, result: Mapping[str, Any]) -> None:
    """Store the standard error of the default objective over seeds. A trial of one seed has none."""
    error = result.get("objective_se")
    if error is not None and not trial.storage.get_trial(trial._trial_id).state.is_finished():
        trial.set_user_attr(STANDARD_ERROR, error)
        trial.set_user_attr(SEEDS, len(result["return_per_seed"]))


def set_violations(trial: optuna.Trial, violations: Mapping[str, float]) -> None:
    """Set the constraints of a trial that has not ended, above 0 if violated. Later reports replace earlier ones.

    Optuna's `set_constraint` keeps the first value of a constraint."""
    if not trial.storage.get_trial(trial._trial_id).state.is_finished():
        for name, violation in violations.items():
            trial.storage.set_trial_system_attr(trial._trial_id, f"constraints:{name}", violation)


def complete_violations(trial: optuna.Trial, violations: Mapping[str, float]) -> None:
    """Set the constraints that a trial without a report lacks: Optuna's Gaussian process needs all of every trial."""
    known = trial.storage.get_trial(trial._trial_id).constraints
    set_violations(trial, {name: violation for name, violation in violations.items() if name not in known})
