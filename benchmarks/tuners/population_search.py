"""One search by a population in real training, and the training of its winner on fresh seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna

from benchmarks.recording.tasks import RecordedTask
from tuneexp.algorithms.registry import load_spec
from tuneexp.nesting import flat
from tuneexp.sweep.member_training import Training, along
from tuneexp.sweep.population.evolution import Evolution
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.population.lineage import lineage
from tuneexp.sweep.search.schedulers.pbt import BUILT_IN
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.trial import Trial
from tuneexp.trial.population.population_trial import PopulationTrial
from tuneexp.trial.trial_config import TrialConfig

FRESH_FROM = 1000  # first one of the seeds that no population is trained on


@dataclass(frozen=True)
class Setup:
    """Size of a search, and of the training of its winner.

    Args:
        members: of a population.
        seeds: of each member.
        fresh_seeds: on which the winner is trained.
        final_episodes: episodes per seed of the last evaluation, by which a winner is chosen and scored.
        compilation: setting `compile` of the trials.
    """

    members: int = 8
    seeds: int = 2
    fresh_seeds: int = 10
    final_episodes: int = 20
    compilation: str = "on"


def without_one_for_all(task: RecordedTask) -> RecordedTask:
    """Return the task with a space of numbers in which the members of a stack can differ."""
    one_for_all = {"gamma"} if task.fixed.get("normalize_reward") else set()
    return replace(task, space={name: values for name, values in task.space.items() if name not in one_for_all})


def searched(task: RecordedTask, setup: Setup, method: str | Mapping[str, Any], repetition: int) -> dict[str, Any]:
    """Train a population and choose its winner, then train that one on fresh seeds.

    Args:
        task: what is trained.
        setup: size of the search.
        method: a scheduler of populations; "random": no member is ever replaced.
        repetition: seed of the first members, which are the same for all methods, and of the decisions.

    Returns:
        A JSON mapping. `objective` is that of the winner at its choice, `fresh` are the returns of its training on
        fresh seeds [fresh_seeds].
    """
    started_s = time.process_time()
    seeds = range(setup.seeds * repetition, setup.seeds * (repetition + 1))
    objective, winner = _population(task, setup, method, repetition, list(seeds))
    first = FRESH_FROM + setup.fresh_seeds * repetition
    fresh = _trained(task, setup, winner, list(range(first, first + setup.fresh_seeds)))
    start = {name: value for name, value in flat(winner.hyperparameters).items() if name in task.space}
    cpu_s = round(time.process_time() - started_s, 1)
    return {"objective": objective, "fresh": fresh, "start": start, "schedule": winner.schedule, "cpu_s": cpu_s}


def _population(
    task: RecordedTask, setup: Setup, method: str | Mapping[str, Any], repetition: int, seeds: list[int]
) -> tuple[float, Training]:
    """Return the objective of the best member at the end, and the training that led to its state."""
    members = [
        {"trial_number": number, "hyperparameters": {**task.fixed, **point}}
        for number, point in enumerate(first_members(task, setup.members, repetition))
    ]
    config = _config(task, setup, seeds, members=members, own_numbers=list(task.space))
    trial = PopulationTrial(load_spec(task.algorithm), config)
    evolution = evolution_of(task, setup, method, repetition)
    try:
        report = evolution.advance(trial)
        while not report["done"]:
            report = evolution.advance(trial)
        objectives = [float(row["objective"]) for row in report["members"]]
        best = int(np.nanargmax(objectives))
        values = [flat(member.hyperparameters) for member in trial.members]
    finally:
        trial.close()
    segments = lineage(dict(enumerate(evolution.takeovers)), dict(enumerate(values)), best)
    return objectives[best], along(segments, values[best])


def first_members(task: RecordedTask, members: int, seed: int) -> list[dict[str, Any]]:
    """Return the first suggestions of random search."""
    space = SearchSpace.from_mapping(task.space)
    sampler = choice.build_sampler("random", choice.SamplerContext(seed, members, space))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    return [flat(space.suggest(study.ask())) for _ in range(members)]


def evolution_of(task: RecordedTask, setup: Setup, method: str | Mapping[str, Any], seed: int) -> Evolution:
    """Return the decisions of a method. Those of random search would come after the end."""
    is_random = method == "random"
    name, given = choice.parts("pbt" if is_random else method)
    scheduler = BUILT_IN[name]
    options = scheduler.Options.parse(given, name)
    space = {name: one.values for name, one in SearchSpace.from_mapping(task.space).dimensions.items()}
    interval = task.env_steps if is_random else options.interval(task.env_steps)
    return Evolution(scheduler.kind(space, options, setup.members), seed, interval, lambda row: row["objective"])


def _trained(task: RecordedTask, setup: Setup, winner: Training, seeds: list[int]) -> list[float]:
    """Return the return of each seed at the end of a training."""
    given = {"hyperparameters": dict(winner.hyperparameters), "schedule": winner.schedule}
    trial = Trial(load_spec(task.algorithm), _config(task, setup, seeds, **given))
    try:
        report = trial.advance()
        while not report["done"]:
            report = trial.advance()
    finally:
        trial.close()
    return [float(value) for value in report["return_per_seed"]]


def _config(task: RecordedTask, setup: Setup, seeds: Sequence[int], **given: Any) -> TrialConfig:
    settings = {
        "algorithm": task.algorithm,
        "env": task.env,
        "wrappers": list(task.wrappers),
        "seeds": list(seeds),
        "budget_env_steps": task.env_steps,
        "evaluation": {"episodes": task.episodes, "final_episodes": setup.final_episodes},
        "compile": setup.compilation,
    }
    return TrialConfig.parse({**settings, **given}, task.name)
