"""Median stopping rule."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

from pydantic import Field

from tuneexp.config import Config, Count
from tuneexp.sweep.search.schedulers.halving import check_grace
from tuneexp.sweep.search.schedulers.rungs import Rungs
from tuneexp.sweep.search.schedulers.scheduler import CONTINUE, STOP, Scheduler, SchedulerContext

COMPARISONS = 20  # of a whole trial


class MedianOptions(Config):
    """Options of `median`."""

    grace_env_steps: Count | None = Field(
        None,
        ge=1,
        description="Environment steps per seed before the first decision; by default a ninth of the budget.",
    )
    min_trials: Count = Field(3, ge=1, description="Number of trials that a trial is compared with at least.")


@dataclass
class _Curve:
    """Reports of a trial so far."""

    best: float
    total: float
    count: int


class Median(Scheduler):
    """Median stopping rule of Google Vizier (KDD 2017, section 3.2).

    A trial stops at a report if its best objective so far is below the median of the running averages that the other
    trials had at the same environment steps. They are compared at 20 equally spaced points of the budget, at the first
    report of the trial beyond a point."""

    Options = MedianOptions

    def __init__(self, options: MedianOptions, context: SchedulerContext) -> None:
        super().__init__(options, context)
        budget = context.budget_env_steps
        check_grace(options.grace_env_steps, budget)
        self._grace = options.grace_env_steps or budget // 9
        points = sorted({budget * point // COMPARISONS for point in range(1, COMPARISONS)} - {0})
        self._averages = Rungs(points)
        self._curves: dict[str, _Curve] = {}

    def report(self, trial_id: str, env_steps: int, objective: float) -> str:
        curve = self._curves.setdefault(trial_id, _Curve(objective, 0.0, 0))
        curve.best, curve.total, curve.count = max(curve.best, objective), curve.total + objective, curve.count + 1
        index = self._averages.reached(trial_id, env_steps)
        if index is None:
            return CONTINUE
        others, median = self._averages.count(index), self._averages.quantile(index, 0.5)
        self._averages.record(index, trial_id, curve.total / curve.count)
        if env_steps < self._grace or others < self.options.min_trials or median is None:
            return CONTINUE
        return STOP if curve.best < median else CONTINUE

    def end(self, trial_id: str, env_steps: int | None, objective: float | None) -> None:
        self._curves.pop(trial_id, None)

    def state(self) -> dict[str, Any]:
        curves = {trial_id: list(astuple(curve)) for trial_id, curve in self._curves.items()}
        return {"averages": self._averages.state(), "curves": curves}

    def set_state(self, state: dict[str, Any]) -> None:
        self._averages.set_state(state["averages"])
        self._curves = {trial_id: _Curve(*curve) for trial_id, curve in state["curves"].items()}
