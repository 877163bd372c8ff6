"""The rule `stagnation`: what it saves, and how much worse the result is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.methods import DEFAULT
from benchmarks.tuners.replay import Search, Trace
from benchmarks.tuners.searches import Searches
from tuneexp.statistics.intervals import estimate

STAGNATIONS = (4, 8, 16, 24, 32, 48)
TRIALS = 96  # after which a search ends in any case


class Ended(NamedTuple):
    """Searches at their ends, [repetitions] each.

    trials: number of trials. env_steps: of all trials together. regret: as a share of the table's range of scores."""

    trials: NDArray[np.float64]
    env_steps: NDArray[np.float64]
    regret: NDArray[np.float64]


def ends_of(
    table: CurveTable, searches: Searches, search: Search, stagnations: Sequence[int], repetitions: int
) -> dict[int | None, Ended]:
    """Run searches of the default method to their ends, without the rule (None) and with each of its numbers."""
    trials = min(TRIALS, len(table.rows))
    whole = replace(search, trials=trials, full_trainings=trials)
    rules: list[int | None] = [None, *(number for number in stagnations if number < trials)]
    return {rule: _ended(table, searches.run(DEFAULT, replace(whole, stagnation=rule), repetitions)) for rule in rules}


def _ended(table: CurveTable, traces: Sequence[Trace]) -> Ended:
    best, width = table.scores.max(), np.ptp(table.scores) or 1.0
    return Ended(
        np.array([float(trace.trials) for trace in traces]),
        np.array([float(trace.env_steps[-1]) for trace in traces]),
        np.array([(best - table.scores[trace.row[-1]]) / width for trace in traces]),
    )


def stagnation_rows(tables: Sequence[Mapping[int | None, Ended]]) -> list[dict[str, Any]]:
    """Return one row for each number of the rule: means over some tables, with 95 % intervals over repetitions.

    `share` is the share of the environment steps of a search without the rule, and `given_up` the regret that the rule
    adds to it."""
    rules = [rule for rule in tables[0] if all(rule in ended for ended in tables)]
    rows = []
    for rule in rules:
        pairs = [(ended[rule], ended[None]) for ended in tables]
        rows.append(
            {
                "stagnation": rule,
                "trials": float(np.mean([own.trials.mean() for own, _ in pairs])),
                "share": float(np.mean([own.env_steps.mean() / whole.env_steps.mean() for own, whole in pairs])),
                "regret": estimate(np.mean([own.regret for own, _ in pairs], axis=0).tolist()),
                "given_up": estimate(np.mean([own.regret - whole.regret for own, whole in pairs], axis=0).tolist()),
            }
        )
    return rows
