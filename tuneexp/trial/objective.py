"""What a trial is judged by: one number from the evaluations of all seeds so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneexp.rl.bootstrap import percentile_interval
from tuneexp.sampling.evaluation import aggregate, aggregated
from tuneexp.trial.trial_config import ObjectiveConfig

WINDOW = 3


class Objective:
    """Collects evaluations [S]; `value()` is what schedulers and searchers maximise."""

    def __init__(self, config: ObjectiveConfig, seeds: Sequence[int]) -> None:
        self.config, self.n_seeds = config, len(seeds)
        self.history: list[list[float]] = []
        self._worst = float("inf")

    def add(self, returns: NDArray[np.float64], failed: NDArray[np.bool_]) -> None:
        """returns: [S], of the deterministic policy; failed: [S], seeds frozen for good."""
        self._worst = min(self._worst, float(np.min(returns)))
        values = returns.astype(np.float64).copy()
        if failed.any():
            values[failed] = self._worst if self.config.failed_seeds == "worst" else np.nan
        if failed.all() or (failed.any() and self.config.failed_seeds == "fail"):
            values[:] = np.nan
        self.history.append(values.tolist())

    def last(self) -> float:
        return self._aggregate(self.history[-1])

    def value(self) -> float:
        """NaN if every seed failed (or one did, where the rule says `fail`)."""
        scores = [self._aggregate(values) for values in self.history]
        if np.isnan(scores[-1]):
            return float("nan")
        if self.config.kind == "last":
            return scores[-1]
        if self.config.kind == "best":
            return float(np.nanmax(scores))
        return float(np.nanmean(scores[-WINDOW:] if self.config.kind == "window" else scores))

    def metrics(self) -> dict[str, float]:
        """The objective, and its interval where there is one."""
        bounds = self.interval()
        interval = {} if bounds is None else {"objective_low": bounds[0], "objective_high": bounds[1]}
        return {"objective": self.value(), **interval}

    def interval(self) -> tuple[float, float] | None:
        """95 % bootstrap interval of `value` over seeds; None below two seeds that count."""
        scores = self._seed_scores()
        scores = scores[~np.isnan(scores)]
        if scores.size < 2 or np.isnan(self.value()):
            return None
        return percentile_interval(scores.tolist(), of=partial(aggregated, how=self.config.aggregate))

    def _seed_scores(self) -> NDArray[np.float64]:
        """The objective of each seed alone, [S]; NaN for seeds that are left out."""
        history = np.asarray(self.history)
        if self.config.kind == "best":
            best: NDArray[np.float64] = history[np.nanargmax([self._aggregate(values) for values in history])]
            return best
        spans = {"last": 1, "window": WINDOW, "auc": len(history)}
        mean: NDArray[np.float64] = history[-spans[self.config.kind] :].mean(axis=0)
        return mean

    def _aggregate(self, values: Sequence[float]) -> float:
        return aggregate([value for value in values if not np.isnan(value)], self.config.aggregate)

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "worst": self._worst}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.history = [[float(value) for value in values] for values in state["history"]]
        self._worst = float(state["worst"])
