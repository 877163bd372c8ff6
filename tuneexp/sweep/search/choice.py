"""A scheduler or an Optuna sampler with options, by name or by the address of one of the user's own.

Written as `"asha"`, as `{"name": "asha", "reduction_factor": 4}`, or as `"module:Class"`. What was asked for is stored;
defaults are resolved when it is built. Checking a built-in one loads neither Ray nor Optuna."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from tuneexp.addresses import checked_instance, lasting_address, load_class
from tuneexp.config import Config, first_lines, without_suffixes
from tuneexp.errors import UserError, unknown_name
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.schedulers.scheduler import Scheduler, SchedulerContext

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Entry:
    """A built-in scheduler or sampler.

    Attributes:
        options: `module:Class` of its options, a closed configuration.
        build: `module:NAME` of a class or function (options, context) -> scheduler or sampler.
        meaning: One line, shown by `tuneexp describe`.
    """

    options: str
    build: str
    meaning: str = ""


@dataclass(frozen=True)
class SamplerContext:
    """Facts of the sweep that a sampler may use.

    Attributes:
        seed: Seed of its random numbers.
        trials: Number of trials; None if it is unknown.
        space: The search space.
    """

    seed: int
    trials: int | None = None
    space: Any = None


_SCHEDULERS, _SAMPLERS = "tuneexp.sweep.search.schedulers.", "tuneexp.sweep.search.samplers."
SCHEDULERS = {
    "fifo": Entry(
        _SCHEDULERS + "scheduler:NoOptions",
        _SCHEDULERS + "fifo:Fifo",
        "No early stopping; each trial runs to its budget.",
    ),
    "asha": Entry(
        _SCHEDULERS + "asha:AshaOptions",
        _SCHEDULERS + "asha:Asha",
        "Asynchronous successive halving: at each rung the best third continues.",
    ),
    "hyperband": Entry(
        _SCHEDULERS + "hyperband:HyperbandOptions",
        _SCHEDULERS + "hyperband:build",
        "Successive halving in several brackets, each with another first rung.",
    ),
    "median": Entry(
        _SCHEDULERS + "median:MedianOptions",
        _SCHEDULERS + "median:Median",
        "Trials below the median of the other trials' running averages stop.",
    ),
    "pbt": Entry(
        "tuneexp.sweep.search.population.options:PbtOptions",
        _SCHEDULERS + "pbt:Pbt",
        "Population-based training: weak trials continue from copies of better ones, with moved hyperparameters.",
    ),
    "pb2": Entry(
        "tuneexp.sweep.search.population.pb2:Pb2Options",
        _SCHEDULERS + "pbt:Pb2",
        "As pbt, with a Gaussian process over values and time instead of random moves.",
    ),
    "mf_pbt": Entry(
        "tuneexp.sweep.search.population.mf_pbt:MfPbtOptions",
        _SCHEDULERS + "pbt:MfPbt",
        "As pbt, with sub-populations that evolve at several frequencies.",
    ),
}
SAMPLERS = {
    "random": Entry(_SAMPLERS + "random:RandomOptions", _SAMPLERS + "random:build", "Random search."),
    "tpe": Entry(_SAMPLERS + "tpe:TpeOptions", _SAMPLERS + "tpe:build", "Tree-structured Parzen estimator."),
    "gp": Entry(_SAMPLERS + "gp:GpOptions", _SAMPLERS + "gp:build", "Bayesian optimization with a Gaussian process."),
    "noisy_gp": Entry(
        _SAMPLERS + "noisy_gp:NoisyGpOptions",
        _SAMPLERS + "noisy_gp:build",
        "A Gaussian process that uses each trial's standard error over seeds.",
    ),
    "cmaes": Entry(
        _SAMPLERS + "cmaes:CmaesOptions", _SAMPLERS + "cmaes:build", "Evolution strategy (CMA-ES), for numbers."
    ),
    "qmc": Entry(_SAMPLERS + "qmc:QmcOptions", _SAMPLERS + "qmc:build", "Points that fill the space evenly."),
    "nsga2": Entry(_SAMPLERS + "nsga:Nsga2Options", _SAMPLERS + "nsga:build_nsga2", "Genetic algorithm NSGA-II."),
    "nsga3": Entry(_SAMPLERS + "nsga:Nsga3Options", _SAMPLERS + "nsga:build_nsga3", "Genetic algorithm NSGA-III."),
    "grid": Entry(_SAMPLERS + "grid:GridOptions", _SAMPLERS + "grid:build", "All points of a finite space."),
    "brute_force": Entry(
        _SAMPLERS + "brute_force:BruteForceOptions",
        _SAMPLERS + "brute_force:build",
        "All combinations of a finite function.",
    ),
}
POPULATIONS = ("pbt", "pb2", "mf_pbt")
_NEEDED = "a subclass of tuneexp.Scheduler"
# By the name of the setting.
KINDS = {"scheduler": SCHEDULERS, "searcher": SAMPLERS}


def _normalised(asked: Any) -> Any:
    if isinstance(asked, str):
        return asked
    if not isinstance(asked, Mapping) or not isinstance(asked.get("name"), str):
        raise ValueError('write a name, module:Class, or a mapping {"name": ..., OPTION: VALUE}')
    return asked["name"] if len(asked) == 1 else dict(asked)


# A setting of a sweep: a name or an address, or a mapping of it and its options.
Choice = Annotated[str | dict[str, Any], BeforeValidator(_normalised)]


def parts(asked: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name or address, and the options."""
    if isinstance(asked, str):
        return asked, {}
    return asked["name"], {name: value for name, value in asked.items() if name != "name"}


def stored_form(asked: Any, kind: str) -> Any:
    """Return what the user passed in Python with an address for a class, and with absolute paths."""
    if isinstance(asked, Mapping) and "name" in asked:
        return {**asked, "name": stored_form(asked["name"], kind)}
    own = isinstance(asked, type) or (isinstance(asked, str) and ":" in asked)
    return lasting_address(asked, kind) if own else asked


def check(kind: str, asked: str | Mapping[str, Any]) -> None:
    """Check the name and the options of a built-in one. Imports none of the user's code.

    Args:
        kind: Name of the setting, a key of `KINDS`.
        asked: The choice.

    Raises:
        UserError: An unknown name, or a wrong option.
    """
    name, options = parts(asked)
    if ":" not in name:
        _options(kind, name, options)


def build_scheduler(asked: str | Mapping[str, Any], context: SchedulerContext) -> Scheduler:
    """Return the scheduler.

    Args:
        asked: The choice.
        context: Facts of the sweep.

    Returns:
        The scheduler, which `TuneScheduler` runs under Tune.

    Raises:
        UserError: An unknown name, a wrong option, or an address that names no scheduler.
    """
    scheduler = _scheduler(asked, context)
    if context.objectives > 1 and not scheduler.several_objectives:
        own = ", or set several_objectives in its class and compare tuples" if ":" in parts(asked)[0] else ""
        raise UserError(
            f"scheduler {parts(asked)[0]} compares one objective, and there are {context.objectives}; "
            f"write --scheduler asha, hyperband or fifo{own}"
        )
    return scheduler


def _scheduler(asked: str | Mapping[str, Any], context: SchedulerContext) -> Scheduler:
    name, options = parts(asked)
    if ":" not in name:
        parsed = _options("scheduler", name, options)
        found: Scheduler = _at(SCHEDULERS[name].build)(parsed, context)
        return found
    made = load_class(name, "scheduler", (Scheduler,), _NEEDED)
    own_options = _parsed(getattr(made, "Options", Config), "scheduler", name, options)
    build_own = partial(made, own_options, context)
    scheduler: Scheduler = checked_instance(build_own, "scheduler", name, options, Scheduler, _NEEDED)
    return scheduler


def build_sampler(asked: str | Mapping[str, Any], context: SamplerContext) -> BaseSampler:
    """Return the Optuna sampler. Arguments and errors as those of `build_scheduler`."""
    name, options = parts(asked)
    if ":" in name:
        from tuneexp.sweep.search.samplers import own

        return own.build(name, options, context)
    parsed = _options("searcher", name, options)
    found: BaseSampler = _at(SAMPLERS[name].build)(parsed, context)
    return found


def most_trials(asked: str | Mapping[str, Any], context: SamplerContext) -> int | None:
    """Return the number of trials, less if a built-in sampler has fewer points. A sampler of the user's is imported.

    Raises:
        UserError: There is no such sampler, or it can't search the space.
    """
    sampler = build_sampler(asked, context)
    count = None if ":" in parts(asked)[0] else getattr(sampler, "count", None)
    return context.trials if count is None or context.trials is None else int(count(context.space, context.trials))


def check_objectives(asked: str | Mapping[str, Any], context: SamplerContext, objectives: Objectives) -> None:
    """Check that the sampler and its options suit the number of objectives. A sampler of the user's is imported.

    Raises:
        UserError: It takes one objective, and there are several.
    """
    if not objectives.several:
        return
    name, options = parts(asked)
    count = len(objectives.names)
    if options.get("carry_pruned"):
        raise UserError(
            f"carry_pruned is for one objective, and there are {count}; leave it out, or take --searcher tpe"
        )
    from tuneexp.sweep.search.samplers.random_study import takes_objectives

    if not takes_objectives(build_sampler(asked, context), context.space, count):
        raise UserError(
            f"searcher {name} takes one objective, and there are {count}; "
            "write --searcher tpe, gp, nsga2, nsga3, qmc or random"
        )


def modelled_line(asked: str | Mapping[str, Any], context: SamplerContext) -> str:
    """Return one line: the hyperparameters that the sampler models, and those that it draws at random."""
    from tuneexp.sweep.search.samplers.modelled import modelled

    name = parts(asked)[0].rpartition(":")[2]
    return modelled(name, build_sampler(asked, context), context.space).line()


def meaning_of(kind: str, name: str) -> str:
    """Return one line about a built-in one."""
    return KINDS[kind][name].meaning


def option_rows(kind: str, name: str) -> list[dict[str, Any]]:
    """Return name, default and description of each option of a built-in one."""
    options: type[Config] = _at(KINDS[kind][name].options)
    return [
        {"name": option, "default": field.get_default(call_default_factory=True), "meaning": field.description}
        for option, field in options.model_fields.items()
    ]


def _at(address: str) -> Any:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


def _options(kind: str, name: str, options: Mapping[str, Any]) -> Config:
    """Return the parsed options of a built-in one."""
    if name not in KINDS[kind]:
        raise unknown_name(kind, name, KINDS[kind])
    return _parsed(_at(KINDS[kind][name].options), kind, name, options)


def _parsed(cls: type[Config], kind: str, name: str, options: Mapping[str, Any]) -> Config:
    if problems := list(_unknown_options(cls, kind, name, options)):
        raise UserError(first_lines(problems))
    return cls.parse(without_suffixes(options), f"{kind} {name}")


def _unknown_options(cls: type[Config], kind: str, name: str, options: Mapping[str, Any]) -> Iterator[str]:
    known = list(cls.model_fields)
    for option in options:
        if option not in known:
            others = [
                other
                for other, entry in KINDS[kind].items()
                if other != name and option in _at(entry.options).model_fields
            ]
            of_other = f"; it is an option of {' and '.join(others)}" if others else ""
            yield f"{kind} {name} has no option {option!r}{of_other}; it has {', '.join(known) or 'none'}"
