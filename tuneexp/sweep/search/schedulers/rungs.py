"""Rungs: scores of trials at increasing budgets, by trial id."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from tuneexp.sweep.search.objectives import Score
from tuneexp.sweep.search.schedulers.ranking import NumberRanking, Ranking, ranking_of

NEARLY = 0.99  # a rung above this share of the budget would save nothing


def geometric_levels(grace_env_steps: int, reduction_factor: float, budget_env_steps: int) -> list[int]:
    """Return the environment steps of the rungs: `grace * factor**k`, below the budget."""
    levels: list[int] = []
    level = float(grace_env_steps)
    while level < NEARLY * budget_env_steps:
        levels.append(math.floor(level + 1e-6))
        level *= reduction_factor
    return levels


class Rungs:
    """Scores by rung. A trial has at most one score in a rung; it never enters a rung below its highest.

    levels: environment steps of the rungs, in increasing order."""

    def __init__(self, levels: Sequence[int]) -> None:
        self.levels = list(levels)
        self._rankings: list[Ranking] = [NumberRanking() for _ in levels]
        self._highest: dict[str, int] = {}

    def reached(self, trial_id: str, env_steps: int) -> int | None:
        """Return the index of the highest rung that a trial enters with a report; None if it enters none."""
        above = self._highest.get(trial_id, -1) + 1
        found = [index for index in range(above, len(self.levels)) if self.levels[index] <= env_steps]
        return found[-1] if found else None

    def record(self, index: int, trial_id: str, score: Score) -> None:
        """Enter a score into a rung: a number, or a tuple for several objectives."""
        if not len(self._rankings[index]):
            self._rankings[index] = ranking_of(score)
        self._rankings[index].add(trial_id, score)  # type: ignore[arg-type]
        self._highest[trial_id] = index

    def highest(self, trial_id: str) -> int | None:
        """Return the index of the highest rung that a trial has entered."""
        return self._highest.get(trial_id)

    def count(self, index: int) -> int:
        """Return the number of trials that have entered a rung."""
        return len(self._rankings[index])

    def best(self, index: int, number: int, among: Collection[str] | None = None) -> list[str]:
        """Return the ids of the best trials of a rung, the best first. among: only these trials."""
        return self._rankings[index].best(number, among)

    def quantile(self, index: int, share: float) -> float | None:
        """Return a quantile of the scores in a rung; None for an empty rung, and with several objectives."""
        ranking = self._rankings[index]
        return ranking.quantile(share) if isinstance(ranking, NumberRanking) else None

    def is_below(self, index: int, share: float, score: Score) -> bool:
        """Return True if a score is below a quantile of the scores that are in a rung."""
        return self._rankings[index].is_below(share, score)  # type: ignore[arg-type]

    def state(self) -> list[list[Any]]:
        """Return the rungs, each `[env steps, {trial id: score}]`, trials in their order of arrival."""
        rungs = [
            {trial_id: list(score) if isinstance(score, tuple) else score for trial_id, score in one.arrived().items()}
            for one in self._rankings
        ]
        return [[level, rung] for level, rung in zip(self.levels, rungs, strict=True)]

    def set_state(self, state: Sequence[Sequence[Any]]) -> None:
        """Continue from the result of `state`. Rungs at other levels are left out."""
        stored = {int(level): recorded for level, recorded in state}
        self._rankings, self._highest = [NumberRanking() for _ in self.levels], {}
        for index, level in enumerate(self.levels):
            for trial_id, score in stored.get(level, {}).items():
                self.record(index, trial_id, tuple(score) if isinstance(score, list) else score)
