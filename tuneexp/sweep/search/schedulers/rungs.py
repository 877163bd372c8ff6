"""Rungs: objectives of trials at increasing budgets, by trial id."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from typing import Any

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
    """Objectives by rung. A trial has at most one objective in a rung; it never enters a rung below its highest.

    levels: environment steps of the rungs, in increasing order."""

    def __init__(self, levels: Sequence[int]) -> None:
        self.levels = list(levels)
        # Of each rung: (minus the objective, order of arrival, trial id), the best first.
        self._ranked: list[list[tuple[float, int, str]]] = [[] for _ in levels]
        self._highest: dict[str, int] = {}

    def reached(self, trial_id: str, env_steps: int) -> int | None:
        """Return the index of the highest rung that a trial enters with a report; None if it enters none."""
        above = self._highest.get(trial_id, -1) + 1
        found = [index for index in range(above, len(self.levels)) if self.levels[index] <= env_steps]
        return found[-1] if found else None

    def record(self, index: int, trial_id: str, objective: float) -> None:
        """Enter an objective into a rung."""
        ranked = self._ranked[index]
        insort(ranked, (-objective, len(ranked), trial_id))
        self._highest[trial_id] = index

    def highest(self, trial_id: str) -> int | None:
        """Return the index of the highest rung that a trial has entered."""
        return self._highest.get(trial_id)

    def count(self, index: int) -> int:
        """Return the number of trials that have entered a rung."""
        return len(self._ranked[index])

    def best(self, index: int, number: int) -> list[str]:
        """Return the ids of the best trials of a rung, the best first; of equal ones, the first to arrive."""
        return [trial_id for _, _, trial_id in self._ranked[index][:number]]

    def quantile(self, index: int, share: float) -> float | None:
        """Return a quantile of the objectives in a rung, interpolated linearly; None for an empty rung."""
        ranked = self._ranked[index]
        if not ranked:
            return None
        place = (1 - share) * (len(ranked) - 1)  # from the best
        above = math.floor(place)
        below = min(above + 1, len(ranked) - 1)
        high, low = -ranked[above][0], -ranked[below][0]
        return high + (low - high) * (place - above)

    def state(self) -> list[list[Any]]:
        """Return the rungs, each `[env steps, {trial id: objective}]`, trials in their order of arrival."""
        arrived = [sorted(ranked, key=lambda entry: entry[1]) for ranked in self._ranked]
        rungs = [{trial_id: -minus for minus, _, trial_id in entries} for entries in arrived]
        return [[level, rung] for level, rung in zip(self.levels, rungs, strict=True)]

    def set_state(self, state: Sequence[Sequence[Any]]) -> None:
        """Continue from the result of `state`. Rungs at other levels are left out."""
        stored = {int(level): recorded for level, recorded in state}
        self._ranked, self._highest = [[] for _ in self.levels], {}
        for index, level in enumerate(self.levels):
            for trial_id, objective in stored.get(level, {}).items():
                self.record(index, trial_id, objective)
