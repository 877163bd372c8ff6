"""Repeated searches of several methods on a table, and statistics of their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.methods import BASELINE, Method
from benchmarks.tuners.metrics import at, rank_correlation
from benchmarks.tuners.replay import Search, Trace
from benchmarks.tuners.searches import Searches
from benchmarks.tuners.stagnation import Ended, ends_of, stagnation_rows
from tuneexp.statistics.comparison import probability_of_improvement
from tuneexp.statistics.intervals import estimate

REPETITIONS = 50
COSTS = (1, 2, 4, 8, 16, 24, 32, 64, 128)  # in full trainings
COMPARED_AT = (16, 32, 64, 128)
SUMMARISED_AT = (8, 16, 32, 64)
SHARES = (1 / 9, 1 / 3, 2 / 3)  # of the budget, of the rungs whose order is compared with the end


@dataclass(frozen=True)
class Comparison:
    """Results of several methods on a table.

    Attributes:
        report: A JSON mapping: `methods` has regret by cost and by time, and the probability of beating random search.
        shares: Regrets as shares of the table's range of scores, by method and measure (such as `regret at 16`);
            [repetitions] each. Equal places are searches with the same seed.
        stagnation: Searches that end by the rule `stagnation`, by its number; None in it: without the rule.
    """

    report: dict[str, Any]
    shares: dict[Method, dict[str, NDArray[np.float64]]]
    stagnation: dict[int | None, Ended] = field(default_factory=dict)


def compare(
    table: CurveTable,
    methods: Sequence[Method],
    search: Search,
    repetitions: int = REPETITIONS,
    jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
    stagnations: Sequence[int] = (),
) -> Comparison:
    """Compare methods with random search on a table.

    Args:
        table: the configurations and their curves.
        methods: what to compare. Random search without early stopping is always replayed, too.
        search: number of seeds, concurrency and cost.
        repetitions: of each method.
        jobs: processes.
        say: prints a line.
        stagnations: numbers of the rule `stagnation`, with which the default method is replayed, too.

    Returns:
        The results.
    """
    asked = list(dict.fromkeys([BASELINE, *methods]))
    traces: dict[Method, list[Trace]] = {}
    with Searches(table, jobs) as searches:
        for method in asked:
            traces[method] = searches.run(method, search, repetitions)
            say(f"{table.name}: {method}, {repetitions} searches")
        ended = ends_of(table, searches, search, stagnations, repetitions) if stagnations else {}
    report = _report(table, traces, search, repetitions)
    shares = {method: _shares(table, traces[method], search) for method in asked}
    return Comparison(report | ({"stagnation": stagnation_rows([ended])} if ended else {}), shares, ended)


def _report(
    table: CurveTable, traces: Mapping[Method, Sequence[Trace]], search: Search, repetitions: int
) -> dict[str, Any]:
    costs = [cost for cost in COSTS if cost <= search.full_trainings]
    compared = [cost for cost in COMPARED_AT if cost <= search.full_trainings] or [search.full_trainings]
    baseline = {cost: _scores(table, traces[BASELINE], cost) for cost in compared}
    return {
        "table": facts_of(table, search, repetitions),
        "rungs": rungs_of(table, search.seeds, repetitions),
        "methods": [
            {
                "sampler": method.sampler,
                "scheduler": method.scheduler,
                "trials": float(np.mean([trace.trials for trace in traces[method]])),
                "regret": {str(cost): estimate(_regrets(table, traces[method], cost)) for cost in costs},
                "regret_by_time": {
                    str(cost): estimate(_regrets_by_time(table, traces[method], cost, search)) for cost in costs
                },
                "beats_random": {
                    str(cost): probability_of_improvement(_scores(table, traces[method], cost), baseline[cost])
                    for cost in compared
                },
            }
            for method in traces
        ],
    }


def _shares(table: CurveTable, traces: Sequence[Trace], search: Search) -> dict[str, NDArray[np.float64]]:
    width = np.ptp(table.scores) or 1.0
    costs = [cost for cost in SUMMARISED_AT if cost <= search.full_trainings]
    shares = {f"regret at {cost}": _regrets(table, traces, cost) / width for cost in costs}
    return shares | {
        f"in the time of {cost}": _regrets_by_time(table, traces, cost, search) / width for cost in costs[1:2]
    }


def _scores(table: CurveTable, traces: Sequence[Trace], cost: float) -> NDArray[np.float64]:
    """Scores of the configurations that are chosen after the cost of so many full trainings; [repetitions]."""
    spent = cost * table.budget_env_steps
    return np.array([at(trace.env_steps, _score_of(table, trace), [spent], _before(table))[0] for trace in traces])


def _score_of(table: CurveTable, trace: Trace) -> NDArray[np.float64]:
    return np.where(trace.row < 0, _before(table), table.scores[trace.row])


def _before(table: CurveTable) -> float:
    """Score before the first report: that of a configuration at random."""
    return float(table.scores.mean())


def _regrets(table: CurveTable, traces: Sequence[Trace], cost: float) -> NDArray[np.float64]:
    return table.scores.max() - _scores(table, traces, cost)


def _regrets_by_time(table: CurveTable, traces: Sequence[Trace], cost: float, search: Search) -> NDArray[np.float64]:
    """The same after the time in which random search does so many full trainings."""
    full_s = table.budget_env_steps if table.seconds is None else float(table.seconds.mean())
    due_s = cost * full_s / search.concurrency
    chosen = [at(trace.clock_s, _score_of(table, trace), [due_s], _before(table))[0] for trace in traces]
    return table.scores.max() - np.array(chosen)


def facts_of(table: CurveTable, search: Search, repetitions: int) -> dict[str, Any]:
    """Facts about the table and the searches, for reports."""
    return {
        "name": table.name,
        "configurations": len(table.rows),
        "seeds": table.fewest_seeds,
        "evaluations": len(table.env_steps),
        "budget_env_steps": table.budget_env_steps,
        "space": {dimension.name: dimension.spell() for dimension in table.dimensions},
        "best": float(table.scores.max()),
        "median": float(np.median(table.scores)),
        "worst": float(table.scores.min()),
        "full_training_s": None if table.seconds is None else float(table.seconds.mean()),
        "drawn_seeds": search.seeds,
        "concurrency": search.concurrency,
        "repetitions": repetitions,
    }


def rungs_of(table: CurveTable, seeds: int, repetitions: int) -> list[dict[str, Any]]:
    """Rank correlation of the evaluations at some shares of the budget with the score.

    Args:
        table: the configurations.
        seeds: that an evaluation is the mean of, drawn anew in each repetition. The score is of all seeds.
        repetitions: number of draws.

    Returns:
        For each share `env_steps` and the `correlation` of Spearman, with its interval over draws.
    """
    found = []
    for share in SHARES:
        place = int(np.searchsorted(table.env_steps, share * table.budget_env_steps))
        if place == len(table.env_steps) - 1:
            continue
        rng = np.random.default_rng(0)
        correlations = [
            rank_correlation(
                [curves[rng.choice(len(curves), seeds, replace=False), place].mean() for curves in table.returns],
                table.scores,
            )
            for _ in range(repetitions)
        ]
        low, high = np.percentile(correlations, [2.5, 97.5])
        correlation = [float(np.mean(correlations)), float(low), float(high)]
        found.append({"env_steps": int(table.env_steps[place]), "share": share, "correlation": correlation})
    return found
