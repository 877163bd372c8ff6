"""Means over several tables, from which defaults are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tuners.comparison import Comparison
from benchmarks.tuners.methods import DEFAULT, Method
from benchmarks.tuners.stagnation import stagnation_rows
from tuneexp.statistics.comparison import paired_difference
from tuneexp.statistics.intervals import estimate


def summarised(compared: Sequence[Comparison]) -> dict[str, Any]:
    """Return means over tables of regrets as shares of each table's range of scores.

    Args:
        compared: Comparisons of the same methods, with the same number of repetitions.

    Returns:
        A JSON mapping: `methods` has the `mean` of each measure with its interval over repetitions, its difference
        `from_default`, of searches with the same seed, and `beats_random`, the mean of that probability. `stagnation`
        has the rows of `stagnation_rows`.
    """
    first = compared[0].shares
    measures = [name for name in next(iter(first.values())) if all(name in _measures(one) for one in compared)]
    return {
        "tables": [one.report["table"]["name"] for one in compared],
        "methods": [
            {
                "sampler": method.sampler,
                "scheduler": method.scheduler,
                "mean": {name: estimate(_mean(compared, method, name).tolist()) for name in measures},
                "from_default": _from_default(compared, method, measures),
                "beats_random": mean_probability([one.report["methods"][place]["beats_random"] for one in compared]),
            }
            for place, method in enumerate(first)
        ],
        "stagnation": stagnation_rows([one.stagnation for one in compared]) if compared[0].stagnation else [],
    }


def mean_probability(tables: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Return the means over tables of (probability, low, high) by cost. The intervals of tables are independent."""
    found = {}
    for cost in tables[0]:
        mean, low, high = np.array([one[cost] for one in tables if cost in one]).T
        down, up = (float(np.linalg.norm(end - mean) / len(mean)) for end in (low, high))
        found[cost] = [float(mean.mean()), float(mean.mean()) - down, float(mean.mean()) + up]
    return found


def _measures(one: Comparison) -> list[str]:
    return list(next(iter(one.shares.values())))


def _mean(compared: Sequence[Comparison], method: Method, measure: str) -> NDArray[np.float64]:
    """Mean over tables of each repetition, [repetitions]."""
    return np.asarray(np.mean([one.shares[method][measure] for one in compared], axis=0))


def _from_default(compared: Sequence[Comparison], method: Method, measures: Sequence[str]) -> dict[str, Any]:
    if method == DEFAULT or DEFAULT not in compared[0].shares:
        return {}
    return {
        name: paired_difference(_mean(compared, method, name), _mean(compared, DEFAULT, name), how="mean")
        for name in measures
    }
