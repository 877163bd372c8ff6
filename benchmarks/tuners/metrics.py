"""Measures of a search: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def incumbents(row: Sequence[int], objective: Sequence[float], completed: Sequence[bool]) -> NDArray[np.int64]:
    """Configuration that would be chosen after each report: the best completed one, else the best report so far.

    A configuration counts with its last report. Of equal ones the first stays.

    Args:
        row: configuration of each report, in the order of time.
        objective: higher is better; NaN is never chosen.
        completed: the report used the whole budget of its trial.

    Returns:
        Chosen configuration after each report; -1 before the first finite report.
    """
    last: dict[int, tuple[bool, float]] = {}
    chosen, found = -1, []
    for one, value, complete in zip(row, objective, completed, strict=True):
        if np.isfinite(value):
            last[one] = (complete, value)
            if chosen == one:  # its own score may have fallen
                chosen = max(last, key=lambda other: (last[other], other == one))
            elif chosen < 0 or last[one] > last[chosen]:
                chosen = one
        found.append(chosen)
    return np.array(found, dtype=np.int64)


def at(spent: ArrayLike, values: ArrayLike, grid: ArrayLike, before: float) -> NDArray[np.float64]:
    """Values of a step function.

    Args:
        spent: increasing positions [K] of the steps.
        values: values [K] from each position on.
        grid: positions [G] to read.
        before: value before the first step.

    Returns:
        Values [G].
    """
    places = np.searchsorted(np.asarray(spent), np.asarray(grid), side="right") - 1
    return np.where(places < 0, before, np.asarray(values, dtype=np.float64)[np.maximum(places, 0)])


def rank_correlation(left: ArrayLike, right: ArrayLike) -> float:
    """Spearman's rank correlation with mean ranks of ties; 0 if one side is constant.

    Args:
        left: values [N].
        right: values [N].
    """
    from scipy.stats import rankdata

    a, b = (rankdata(values) - (len(np.atleast_1d(values)) + 1) / 2 for values in (left, right))
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / norm) if norm else 0.0
