"""Stacked populations: the option `population=stacked`, what can't be stacked, and the settings of the one trial."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneexp.algorithms.registry import config_class_of, load_spec
from tuneexp.config import is_numeric
from tuneexp.errors import TuneexpError, UserError, reason_of
from tuneexp.sweep.metric_probe import short_settings, train_shortly
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.searched_budget import BUDGET
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.sweep_config import SweepConfig, objectives_of
from tuneexp.trial.one_process import STACKED as ONE_STACK
from tuneexp.trial.one_process import refuse_processes
from tuneexp.trial.trial_config import TrialConfig

OPTION, STACKED = "population", "stacked"
_INSTEAD = "write population=workers"


def is_stacked(config: SweepConfig) -> bool:
    """Return True if the sweep trains its population as one stack."""
    return bool(choice.parts(config.scheduler)[1].get(OPTION) == STACKED)


def own_numbers(space: SearchSpace) -> list[str]:
    """Return the hyperparameters in which members may differ: those that are searched."""
    return list(dict.fromkeys(name.partition("/")[0] for name in space.names))


def shared_settings(config: SweepConfig, space: SearchSpace) -> dict[str, Any]:
    """Return what the configuration of the one trial has beside its members."""
    name, options = choice.parts(config.scheduler)
    decisions = {
        "name": name,
        "options": {key: value for key, value in options.items() if key != OPTION},
        "space": config.space,
        "seed": config.searcher_seed,
        "objectives": config.objectives,
    }
    return {OPTION: decisions, "own_numbers": own_numbers(space), "expected_trials": 1, "concurrent_trials": 1}


def check_stackable(config: SweepConfig, space: SearchSpace) -> None:
    """Check that the members of a population can be rows of one stack. Trains two of them for some seconds.

    Raises:
        UserError: Members would differ in what is one for the whole stack; its name is in the message.
    """
    refuse_processes(config.fixed, *ONE_STACK)
    if problem := next(_problems(config, space), None):
        raise UserError(f"population=stacked: {problem}")
    from tuneexp.learning.hyper import OneForAll  # loads torch

    try:
        _train_two(config, space)
    except OneForAll as error:
        raise UserError(
            f"population=stacked: {', '.join(error.names)} is one number for the whole stack, so members can't differ "
            f"in it; fix it, or {_INSTEAD}"
        ) from None
    except TuneexpError:
        raise
    except Exception as error:
        raise UserError(f"population=stacked: a member can't be trained: {reason_of(error)}") from error


def _problems(config: SweepConfig, space: SearchSpace) -> Iterator[str]:
    if config.trials is None:
        yield "the number of members is missing; write --trials 8"
    if objectives_of(config).several:
        yield "decisions compare one objective; write one"
    if config.checkpoint_quota_bytes is not None:
        yield f"all members share one checkpoint: leave out --checkpoint-quota, or {_INSTEAD}"
    if not space.dimensions:
        yield f"members need a space of ranges; {_INSTEAD}"
    fields = config_class_of(config.trial.algorithm).model_fields
    for name, dimension in space.dimensions.items():
        field = fields.get(name.partition("/")[0])
        if name == BUDGET or field is None or not is_numeric(field):
            yield f"{name} is part of the program of the stack, so members can't differ in it; fix it, or {_INSTEAD}"
        elif None in dimension.values.probes():
            yield f"{name} can be null, which is another program; search its numbers only, or {_INSTEAD}"


def _train_two(config: SweepConfig, space: SearchSpace) -> None:
    from tuneexp.trial.population.population_trial import PopulationTrial

    spec = load_spec(config.trial.algorithm)
    settings = short_settings(config, spec)
    members = [{"trial_number": number, "hyperparameters": settings["hyperparameters"]} for number in range(2)]
    asked = {**settings, "members": members, "own_numbers": own_numbers(space)}
    trial = PopulationTrial(spec, TrialConfig.parse(asked, "the trial"))
    try:
        train_shortly(trial)
    finally:
        trial.close()
