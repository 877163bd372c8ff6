"""Scores of the seeds of a trial from its reports. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneexp.trial.objective import seed_scores
from tuneexp.trial.trial_config import ObjectiveConfig


@dataclass(frozen=True)
class SeedScores:
    """Scores of one configuration.

    Attributes:
        scores: Seed -> its score: evaluations aggregated over reports as the objective of the sweep does.
        diverged: Seeds that diverged. Their score is the worst evaluation of any configuration.
    """

    scores: dict[int, float]
    diverged: list[int]


def scores_of(
    reports: Sequence[Mapping[str, Any]], seeds: Sequence[int], objective: ObjectiveConfig, worst: float
) -> SeedScores | None:
    """Return the scores of the seeds of a trial.

    Args:
        reports: Metrics of its reports, in order, with `seed/<seed>/return_mean`, and `seed/<seed>/failed` of a seed
            that diverged.
        seeds: Its seeds.
        objective: Evaluations that count.
        worst: Score of a seed that diverged.

    Returns:
        The scores; None without reports.
    """
    if not reports:
        return None
    diverged = [seed for seed in seeds if f"seed/{seed}/failed" in reports[-1]]
    history = [[_return(report, seed, worst) for seed in seeds] for report in reports]
    found = seed_scores(np.asarray(history), objective)
    scores = {seed: worst if seed in diverged else float(value) for seed, value in zip(seeds, found, strict=True)}
    return SeedScores(scores, diverged)


def worst_return(reports: Sequence[Mapping[str, Any]]) -> float:
    """Return the lowest evaluation of any seed in any report; NaN without one."""
    values = [value for report in reports for name, value in report.items() if _is_return(name)]
    return min((float(value) for value in values if math.isfinite(value)), default=math.nan)


def _is_return(name: str) -> bool:
    return name.startswith("seed/") and name.endswith("/return_mean") and name.count("/") == 2


def _return(report: Mapping[str, Any], seed: int, worst: float) -> float:
    return float(report.get(f"seed/{seed}/return_mean", worst))
