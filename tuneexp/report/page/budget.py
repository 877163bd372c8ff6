"""Trials over their budget: how many reached each report, where they ended, and how stable their ranking was."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from tuneexp.report.page.curves import sampled
from tuneexp.report.tables import Rows
from tuneexp.sweep.results import TrialResult
from tuneexp.sweep.scheduling import scheduler_of
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.schedulers.halving import HalvingOptions
from tuneexp.sweep.sweep_config import SweepConfig
from tuneexp.tracking.outcome import COMPLETED, PRUNED

MOST_LEVELS = 100
FEWEST_RANKED = 3  # trials, for a rank correlation
ENDS = ("completed", "pruned", "failed", "not ended")


def levels_of(config: SweepConfig) -> list[int]:
    """Return the environment steps at which reports are due, at most `MOST_LEVELS` of them, with the budget."""
    trial = config.trial
    due = range(trial.report_period, trial.budget_env_steps, trial.report_period)
    return [*sampled(due, MOST_LEVELS - 1), trial.budget_env_steps]


def rungs_of(config: SweepConfig) -> list[int]:
    """Return the rungs of a built-in scheduler that halves; empty for others. Code of users is not imported."""
    if ":" in choice.parts(config.scheduler)[0]:
        return []
    scheduler = scheduler_of(config)
    options = scheduler.options
    return options.levels(scheduler.context) if isinstance(options, HalvingOptions) else []


def level_rows(trials: Sequence[TrialResult], levels: Sequence[int], rungs: Sequence[int] = ()) -> Rows:
    """Return a row for each level of the budget.

    Args:
        trials: Trials of a sweep.
        levels: Environment steps per seed, in increasing order.
        rungs: Environment steps of the scheduler's rungs.

    Returns:
        Rows `env_steps`, `rung` (True if the scheduler compares trials at the first report from there on), `reached`
        (trials that have done these steps), and how many of these ended before the next level: `completed`, `pruned`,
        `failed`, and `not ended` (they are there now). `went on` is the rest.
    """
    at_rung = {next((level for level in levels if level >= rung), None) for rung in rungs}
    above = [*levels[1:], math.inf]
    rows = []
    for level, following in zip(levels, above, strict=True):
        there = [trial for trial in trials if trial.env_steps >= level]
        last = [_end(trial) for trial in there if trial.env_steps < following]
        rows.append({
            "env_steps": level, "rung": level in at_rung, "reached": len(there),
            **{end: last.count(end) for end in ENDS}, "went on": len(there) - len(last),
        })  # fmt: skip
    return rows


def _end(trial: TrialResult) -> str:
    if trial.outcome is None:
        return "not ended"
    return trial.outcome if trial.outcome in (COMPLETED, PRUNED) else "failed"


def stability_rows(
    trials: Sequence[TrialResult],
    reports: Mapping[int, Sequence[Mapping[str, Any]]],
    objective: str,
    direction: str,
    levels: Sequence[int],
) -> Rows:
    """Compare the ranking of the completed trials at each level with their final ranking.

    Args:
        trials: Trials of a sweep.
        reports: Trial number -> metrics of its reports, in order.
        objective: Metric that ranks them.
        direction: "max" or "min".
        levels: Environment steps per seed, in increasing order.

    Returns:
        Rows `env_steps`, `trials`, `spearman` (rank correlation with the final ranking) and `rank_of_best` (rank at
        this level of the trial that is the best at the end, from 1), for each level with three trials or more whose
        values are not all equal.
    """
    completed = [trial.trial_number for trial in trials if trial.outcome == COMPLETED]
    final = {one: _value(reports[one][-1], objective) for one in completed if reports.get(one)}
    rows = []
    for level in levels:
        now = {one: _at(reports[one], objective, level) for one in final}
        both = [(value, final[one]) for one, value in now.items() if math.isfinite(value) and math.isfinite(final[one])]
        rho = spearman(both)
        if rho is not None:
            rank = _rank_of_best(both, direction)
            rows.append({"env_steps": level, "trials": len(both), "spearman": rho, "rank_of_best": rank})
    return rows


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Spearman's rank correlation, ties with their mean rank; None if it is not defined or for few pairs."""
    if len(pairs) < FEWEST_RANKED or any(len(set(values)) < 2 for values in zip(*pairs, strict=True)):
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def _rank_of_best(pairs: Sequence[tuple[float, float]], direction: str) -> int:
    sign = 1.0 if direction == "max" else -1.0
    now, _ = max(pairs, key=lambda pair: (sign * pair[1], sign * pair[0]))
    return 1 + sum(sign * other > sign * now for other, _ in pairs)


def _at(reports: Sequence[Mapping[str, Any]], objective: str, level: int) -> float:
    """Return the value of the first report from a level on, else of the last one."""
    index = bisect_left(reports, level, key=lambda report: report["env_steps"])
    return _value(reports[min(index, len(reports) - 1)], objective)


def _value(report: Mapping[str, Any], objective: str) -> float:
    value = report.get(objective)
    return math.nan if value is None else float(value)
