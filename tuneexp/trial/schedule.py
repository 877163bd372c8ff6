"""Schedule of a trial: hyperparameters that change at given environment steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tuneexp.config import Config, is_numeric
from tuneexp.errors import UserError
from tuneexp.nesting import merged, nested
from tuneexp.trial.trial_config import TrialConfig


def changes_due(config: TrialConfig, env_steps: int) -> int:
    """Return the number of changes of a schedule that are in force after `env_steps` environment steps per seed."""
    return sum(change["env_steps"] <= env_steps for change in config.schedule)


def in_force(config: TrialConfig, changes: int) -> TrialConfig:
    """Return the configuration with the hyperparameters of the first `changes` of its schedule."""
    values = config.hyperparameters
    for change in config.schedule[:changes]:
        values = merged(values, nested(change["values"]))
    return config.model_copy(update={"hyperparameters": values})


def check_schedule(
    schedule: Sequence[Any], config_class: type[Config], algorithm: str, owner: str, fixed: Collection[str] = ()
) -> None:
    """Check the changes of a schedule.

    Args:
        schedule: Changes, each with `env_steps` and `values` by flat name.
        config_class: Configuration class of the algorithm.
        algorithm: Its name, for messages.
        owner: The file, for messages.
        fixed: Flat names of hyperparameters that the user sets.

    Raises:
        UserError: A change is of another algorithm, can't be made while a trial trains, or is out of order.
    """
    before = 0
    for change in schedule:
        if not isinstance(change, Mapping) or not isinstance(change.get("values"), Mapping):
            raise UserError(f"{owner}: a change of the schedule is {{env_steps: N, values: {{NAME: VALUE}}}}")
        steps = change.get("env_steps")
        if type(steps) is not int or steps < before:
            raise UserError(f"{owner}: env_steps of the schedule increase from 0; got {steps!r} after {before}")
        before = steps
        for name, value in change["values"].items():
            _check_change(name, value, config_class, algorithm, owner, fixed)


def _check_change(
    name: str, value: Any, config_class: type[Config], algorithm: str, owner: str, fixed: Collection[str]
) -> None:
    first, _, rest = str(name).partition("/")
    field = config_class.model_fields.get(first)
    if field is not None and rest and isinstance(field.annotation, type) and issubclass(field.annotation, Config):
        _check_change(rest, value, field.annotation, algorithm, owner, ())
        return
    if field is None:
        raise UserError(f"{owner}: the schedule changes {name}, which {algorithm} does not have; it is of another one")
    if not is_numeric(field):
        raise UserError(f"{owner}: {name} shapes the program, so a schedule can't change it while a trial trains")
    if value is None or isinstance(value, bool):
        raise UserError(f"{owner}: the schedule changes {name} to {value!r}, which is no number")
    for problem in config_class.problems({first: value}):  # a number, or a text such as linear:0.001 of some
        if problem.path == (first,):
            raise UserError(f"{owner}: in the schedule, {problem.text}")
    if name in fixed:
        raise UserError(f"{owner}: {name} changes by the schedule; leave out --set {name}=...")
