"""Learning curves for a page: mean and interval over seeds, with a bounded number of points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from tuneexp.report.learning_curves import seed_curves
from tuneexp.statistics.intervals import percentile_interval

BEST = 8  # trials with a band
POINTS = 120  # of a curve with a band
POINTS_OF_OTHERS = 6000  # of all other curves together

T = TypeVar("T")


@dataclass(frozen=True)
class Curve:
    """Learning curve of one trial. Lists of equal length.

    Attributes:
        trial: Number of the trial.
        env_steps: Environment steps per seed.
        mean: Mean of the returns over seeds.
        low: Lower end of the 95 % interval over seeds; empty for one seed.
        high: Its upper end.
    """

    trial: int
    env_steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def sampled(points: Sequence[T], most: int) -> list[T]:
    """Return at most `most` points, evenly spaced, with the first and the last one."""
    if len(points) <= most:
        return list(points)
    if most < 2:
        return [points[-1]]
    step = (len(points) - 1) / (most - 1)
    return [points[round(index * step)] for index in range(most)]


def curve_of(trial: int, reports: Sequence[Mapping[str, Any]], points: int = POINTS, band: bool = True) -> Curve | None:
    """Return the learning curve of a trial.

    Args:
        trial: Its number.
        reports: Metrics of its reports, in order.
        points: Largest number of points.
        band: Compute the interval over seeds.

    Returns:
        The curve; None without an evaluation.
    """
    steps, values = [], []
    for report in sampled(reports, points):
        returns = [row["return_mean"] for row in seed_curves([report]) if math.isfinite(row["return_mean"])]
        if returns:
            steps.append(int(report["env_steps"]))
            values.append(returns)
    if not values:
        return None
    wanted = band and max(map(len, values)) > 1
    ends = [percentile_interval(returns) for returns in values] if wanted else []
    means = [sum(returns) / len(returns) for returns in values]
    return Curve(trial, steps, means, [low for low, _ in ends], [high for _, high in ends])


def best_curves(
    ranked: Sequence[int], reports: Mapping[int, Sequence[Mapping[str, Any]]], most: int = BEST
) -> list[Curve]:
    """Return the curves of the best trials that have one, the best first. ranked: numbers of trials, the best first."""
    found = (curve_of(trial, reports.get(trial, ())) for trial in ranked)
    return list(islice((curve for curve in found if curve is not None), most))


def other_curves(trials: Sequence[int], reports: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[Curve]:
    """Return curves without intervals, with `POINTS_OF_OTHERS` points altogether."""
    if not trials:
        return []
    points = max(2, min(POINTS, POINTS_OF_OTHERS // len(trials)))
    found = [curve_of(trial, reports.get(trial, ()), points, band=False) for trial in trials]
    return [curve for curve in found if curve is not None]
