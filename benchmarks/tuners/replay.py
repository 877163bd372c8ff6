"""One repetition of a search on a table: the real searcher and scheduler on the simulated loop of Tune."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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

    env_steps: [K], spent so far by all trials together, on all their seeds, divided by the number of seeds of a whole
    trial. clock_s: [K], simulated time. row: [K], configuration that would be chosen. trials: number of trials that
    reported. objective: [K], last one of the chosen configuration. completed: objectives of configurations whose trials
    completed."""

    env_steps: NDArray[np.float64]
    clock_s: NDArray[np.float64]
    row: NDArray[np.int64]
    trials: int
    objective: NDArray[np.float64]
    completed: Mapping[int, float]


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
    of_scheduler = choice.SchedulerContext(table.budget_env_steps, seed, trials, concurrency, seeds=search.seeds)
    built = choice.build_scheduler(choice_of(method.scheduler), of_scheduler)
    scheduler = TuneScheduler(built, concurrency)
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
        lambda config: script_of(table, config["hyperparameters"]["row"], search.seeds, seed, built.cohorts()),
        config={"budget_env_steps": table.budget_env_steps},
        slots=concurrency,
        max_pending=concurrency,
    )
    return _course(table, loop, search.full_trainings * table.budget_env_steps, search.seeds)


def script_of(
    table: CurveTable, row: int, seeds: int, seed: int, cohorts: Sequence[Mapping[str, int]] = ()
) -> list[Report]:
    """Return the reports of a configuration, for the mean over some of its seeds.

    Time is proportional to the environment steps of all seeds: those that join at a rung start from step 0.

    cohorts: of seeds, as in `TrialConfig`; none: all seeds start together."""
    curves = table.returns[row][drawn_seeds(table, row, seeds, seed)]
    full_s = table.budget_env_steps if table.seconds is None else table.seconds[row]
    steps, spent, found = table.env_steps.tolist(), 0, []
    for place, joined in enumerate(seeds_at(steps, cohorts, len(curves))):
        scores, trained = curves[:joined, place], joined * steps[place]
        error = {"objective_se": float(scores.std(ddof=1) / joined**0.5)} if joined > 1 else {}
        mean = float(scores.mean())
        metrics = {
            "objective": mean,
            "env_steps": steps[place],
            "return_mean": mean,
            "return_per_seed": scores.tolist(),
            "env_steps_spent": trained,
            **error,
        }
        seconds = full_s * (trained - spent) / (len(curves) * table.budget_env_steps)
        found.append(Report(metrics, float(seconds)))
        spent = trained
    return found


def drawn_seeds(table: CurveTable, row: int, seeds: int, seed: int) -> NDArray[np.int64]:
    """Return the places of the seeds of a configuration that a search trains, [seeds] at most."""
    number = len(table.returns[row])
    return np.random.default_rng([seed, row]).choice(number, min(seeds, number), replace=False)


def _course(table: CurveTable, loop: TuneLoop, most_env_steps: int, seeds: int) -> Trace:
    """Run a search until its cost, or its end."""
    reached: dict[str, float] = {}
    spent, seen, costs = 0.0, 0, []
    steps = table.env_steps.tolist()
    joined = dict(zip(steps, seeds_at(steps, loop.scheduler.scheduler.cohorts(), seeds), strict=True))
    while not loop.is_finished() and spent < most_env_steps:
        loop.step()
        for decision in loop.decisions[seen:]:
            cost = decision.env_steps * joined[decision.env_steps] / seeds
            spent += max(0, cost - reached.get(decision.trial_id, 0))
            reached[decision.trial_id] = max(cost, reached.get(decision.trial_id, 0))
            costs.append(spent)
        seen = len(loop.decisions)
    rows: Mapping[str, int] = {t.trial_id: t.config["hyperparameters"]["row"] for t in loop.get_trials()}
    reports: list[Any] = loop.decisions
    chosen = incumbents(
        [rows[report.trial_id] for report in reports],
        [report.objective for report in reports],
        [report.env_steps >= table.budget_env_steps for report in reports],
    )
    last: dict[int, float] = {-1: np.nan}
    scores = []
    for report, row in zip(reports, chosen, strict=True):
        last[rows[report.trial_id]] = report.objective
        scores.append(last[int(row)])
    return Trace(
        np.array(costs),
        np.array([report.time_s for report in reports]),
        chosen,
        len(reached),
        np.array(scores),
        {rows[one.trial_id]: one.objective for one in reports if one.env_steps >= table.budget_env_steps},
    )


def seeds_at(env_steps: Sequence[int], cohorts: Sequence[Mapping[str, int]], seeds: int) -> list[int]:
    """Return the number of seeds of each report. A cohort joins after the first report at its rung.

    Args:
        env_steps: of the reports.
        cohorts: of seeds, as in `TrialConfig`; none: all seeds start together.
        seeds: of a trial.
    """
    before = [0, *env_steps[:-1]]
    return [sum(one["seeds"] for one in cohorts if one["from_env_steps"] <= step) or seeds for step in before]
