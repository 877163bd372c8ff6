"""One repetition of a search on a table: the real searcher and scheduler on the simulated loop of Tune."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.methods import Method, choice_of
from benchmarks.tuners.metrics import incumbents
from benchmarks.tuners.table_space import TableSpace
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import StopRules
from tuneexp.testing.simulated_trial import Report
from tuneexp.testing.tune_loop import TuneLoop


@dataclass(frozen=True)
class Search:
    """Settings of a search.

    Args:
        seeds: training seeds of a trial, drawn from those of its configuration.
        concurrency: trials that run at the same time.
        full_trainings: cost at which a search ends, in trainings with the whole budget.
        trials: number of trials after which a search ends; None: each configuration of the table.
        stagnation: number of trials in a row without a better one after which a search ends.
    """

    seeds: int = 3
    concurrency: int = 4
    full_trainings: int = 32
    trials: int | None = None
    stagnation: int | None = None


class Trace(NamedTuple):
    """Course of one search, after each report.

    env_steps: [K], spent so far by all trials together, per seed. clock_s: [K], simulated time. row: [K], configuration
    that would be chosen. trials: number of trials that reported."""

    env_steps: NDArray[np.int64]
    clock_s: NDArray[np.float64]
    row: NDArray[np.int64]
    trials: int


def replay(table: CurveTable, method: Method, search: Search, seed: int) -> Trace:
    """Run one search.

    Args:
        table: the configurations and their curves.
        method: sampler and scheduler.
        search: number of seeds, concurrency and cost.
        seed: of the sampler, and of the seeds that are drawn. Searches with the same seed draw the same for a row.

    Returns:
        The course.
    """
    trials, concurrency = min(search.trials or len(table.rows), len(table.rows)), search.concurrency
    of_scheduler = choice.SchedulerContext(table.budget_env_steps, seed, trials, concurrency)
    scheduler = TuneScheduler(choice.build_scheduler(choice_of(method.scheduler), of_scheduler), concurrency)
    of_sampler = choice.SamplerContext(seed, min(search.full_trainings, trials), SearchSpace(table.dimensions))
    rows: Any = TableSpace(table, np.random.default_rng([seed, len(table.rows)]))
    searcher = StudySearcher(
        rows,
        choice.build_sampler(choice_of(method.sampler), of_sampler),
        study_name="replay",
        budget_env_steps=table.budget_env_steps,
        log=Path(os.devnull),
        limits=Limits(StopRules(trials, stagnation=search.stagnation), concurrency, scheduler),
    )
    loop = TuneLoop(
        scheduler,
        searcher,
        lambda config: script_of(table, config["hyperparameters"]["row"], search.seeds, seed),
        config={"budget_env_steps": table.budget_env_steps},
        slots=concurrency,
        max_pending=concurrency,
    )
    return _course(table, loop, search.full_trainings * table.budget_env_steps)


def script_of(table: CurveTable, row: int, seeds: int, seed: int) -> list[Report]:
    """Return the reports of a configuration, for the mean over some of its seeds."""
    curves = table.returns[row]
    drawn = np.random.default_rng([seed, row]).choice(len(curves), min(seeds, len(curves)), replace=False)
    share = np.diff(table.env_steps, prepend=0) / table.budget_env_steps
    seconds = share * (table.budget_env_steps if table.seconds is None else table.seconds[row])
    objective, noise = curves[drawn].mean(axis=0), [dict[str, Any]()] * len(share)
    if len(drawn) > 1:
        errors = curves[drawn].std(axis=0, ddof=1) / len(drawn) ** 0.5
        noise = [{"objective_se": float(error), "return_per_seed": [0.0] * len(drawn)} for error in errors]
    return [
        Report({"objective": float(value), "env_steps": int(step), "return_mean": float(value), **own}, float(duration))
        for value, step, own, duration in zip(objective, table.env_steps, noise, seconds, strict=True)
    ]


def _course(table: CurveTable, loop: TuneLoop, most_env_steps: int) -> Trace:
    """Run a search until its cost, or its end."""
    reached: dict[str, int] = {}
    spent, seen, costs = 0, 0, []
    while not loop.is_finished() and spent < most_env_steps:
        loop.step()
        for decision in loop.decisions[seen:]:
            spent += max(0, decision.env_steps - reached.get(decision.trial_id, 0))
            reached[decision.trial_id] = max(decision.env_steps, reached.get(decision.trial_id, 0))
            costs.append(spent)
        seen = len(loop.decisions)
    rows: Mapping[str, int] = {t.trial_id: t.config["hyperparameters"]["row"] for t in loop.get_trials()}
    reports: list[Any] = loop.decisions
    return Trace(
        np.array(costs),
        np.array([report.time_s for report in reports]),
        incumbents(
            [rows[report.trial_id] for report in reports],
            [report.objective for report in reports],
            [report.env_steps >= table.budget_env_steps for report in reports],
        ),
        len(reached),
    )
