"""Measures of a search: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000


class Estimate(NamedTuple):
    """A mean with the ends of its 95 % bootstrap interval over repetitions."""

    mean: float
    low: float
    high: float


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


def probability_of_beating(ours: ArrayLike, theirs: ArrayLike) -> Estimate:
    """Probability that a repetition of ours has a higher score than one of theirs; ties count half.

    The statistic of Mann and Whitney (1947) divided by the number of pairs. Repetitions of both are resampled.

    Args:
        ours: scores [N].
        theirs: scores [M].
    """
    left, right = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    wins = (left[:, None] > right[None, :]) + 0.5 * (left[:, None] == right[None, :])
    rng = np.random.default_rng(0)
    sampled_left = rng.integers(0, len(left), (RESAMPLES, len(left)))
    sampled_right = rng.integers(0, len(right), (RESAMPLES, len(right)))
    drawn_left, drawn_right = _counts(sampled_left, len(left)), _counts(sampled_right, len(right))
    means = np.einsum("bn,nm,bm->b", drawn_left, wins, drawn_right, optimize=True) / wins.size
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(wins.mean()), float(low), float(high))


def _counts(index: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    return np.stack([np.bincount(one, minlength=size) for one in index]).astype(np.float64)


def mean_of(values: ArrayLike) -> Estimate:
    """Mean over repetitions. values: [N], finite."""
    sample = np.asarray(values, dtype=np.float64)
    index = np.random.default_rng(0).integers(0, len(sample), (RESAMPLES, len(sample)))
    low, high = np.percentile(sample[index].mean(axis=1), [2.5, 97.5])
    return Estimate(float(sample.mean()), float(low), float(high))


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
