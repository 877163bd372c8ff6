"""Metrics of several cohorts of seeds as those of one trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

SUMS = ("partial_episodes",)
EQUAL = ("parameters", "update/updates", "cuda_graphs")
RATE = "time/env_steps_per_s"
OF_A_SEED = "seed/"


def merged_metrics(cohorts: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """Merge the metrics of cohorts.

    Counts of the trial are added. A rate is that of all cohorts together, which are trained one after the other. What
    is equal in all of them, and what a seed has of its own, stays. All other numbers are means over seeds, of the
    cohorts that have one.

    Args:
        cohorts: number of seeds and metrics of each.
    """
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for _, metrics in cohorts for name in metrics):
        values = [(seeds, metrics[name]) for seeds, metrics in cohorts if name in metrics]
        merged[name] = _merged(name, values)
    if RATE in merged:
        merged[RATE] = _rate([(seeds, metrics[RATE]) for seeds, metrics in cohorts])
    return merged


def _merged(name: str, values: Sequence[tuple[int, Any]]) -> Any:
    numbers = [value for _, value in values]
    if isinstance(numbers[0], bool):
        return all(numbers)
    if name in EQUAL or name.startswith(OF_A_SEED) or not isinstance(numbers[0], int | float):
        return numbers[0]
    if name in SUMS:
        return sum(numbers)
    known = [(seeds, value) for seeds, value in values if math.isfinite(value)]
    if not known:
        return numbers[0]
    return sum(seeds * value for seeds, value in known) / sum(seeds for seeds, _ in known)


def _rate(values: Sequence[tuple[int, float]]) -> float:
    """Return the steps of all seeds by the seconds of all cohorts, each of which takes as many steps per seed."""
    return sum(seeds for seeds, _ in values) / sum(seeds / rate for seeds, rate in values if rate > 0)
