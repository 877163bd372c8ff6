"""Scores of pruned trials at the full budget, from the curves of completed trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Curve(NamedTuple):
    """Reports of one trial; higher scores are better.

    steps: environment steps per seed, ascending, [R]. scores: [R]. final: score at the full budget."""

    steps: Floats
    scores: Floats
    final: float

    def at(self, steps: Floats) -> Floats:
        """Return the scores at `steps`, interpolated linearly; NaN before the first report."""
        if not len(self.steps):
            return np.full(len(steps), np.nan)
        return np.interp(steps, self.steps, self.scores, left=np.nan)


def shares_done(steps: Floats, curves: Sequence[Curve], floor: float) -> Floats:
    """Return the share of its final score above `floor` that a completed trial has at each step: the median of all.

    Args:
        steps: Environment steps per seed, [K].
        curves: Completed trials.
        floor: The worst score that any trial reported.

    Returns:
        Numbers in (0, 1], [K]; 1 for a step at which no curve gives one.
    """
    risen = [(curve.at(steps) - floor) / (curve.final - floor) for curve in curves if curve.final > floor]
    table = np.array(risen).reshape(-1, len(steps))
    shares = np.array([np.median(known) if len(known := column[~np.isnan(column)]) else 1.0 for column in table.T])
    return np.where((shares > 0) & (shares <= 1), shares, 1.0)


def carried_scores(scores: Floats, steps: Floats, curves: Sequence[Curve], floor: float) -> Floats:
    """Return the scores that pruned trials are taken to have at the full budget.

    A score becomes `floor + (score - floor) / share`: curves of different hyperparameters are taken to have one shape
    and to differ in their height. So trials that were pruned at the same step keep their order. No score is raised
    above the best final one.

    Args:
        scores: Last scores of the pruned trials, [P]; higher is better.
        steps: Their environment steps per seed, [P].
        curves: Completed trials.
        floor: The worst score that any trial reported.

    Returns:
        The carried scores, [P]; `scores` if no trial has completed.
    """
    if not curves or not len(scores):
        return scores
    distinct, which = np.unique(steps, return_inverse=True)
    carried = floor + (scores - floor) / shares_done(distinct, curves, floor)[which]
    return np.maximum(scores, np.minimum(carried, max(curve.final for curve in curves)))
