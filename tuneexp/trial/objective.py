"""Objective of a trial: one number from the evaluations of all seeds so far."""

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
    """Evaluations of a trial, aggregated over seeds and reports. Schedulers and searchers maximize `value()`.

    Args:
        config: kind of aggregation.
        seeds: of the trial.
    """

    def __init__(self, config: ObjectiveConfig, seeds: Sequence[int]) -> None:
        self.config, self.n_seeds = config, len(seeds)
        self.history: list[list[float]] = []
        self._worst = float("inf")

    def add(self, returns: NDArray[np.float64], failed: NDArray[np.bool_]) -> None:
        """Add an evaluation. returns: [S], mean over episodes; failed: [S] bool, diverged seeds."""
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
        """Return the objective; NaN if every seed failed, or one of them with `failed_seeds=fail`."""
        scores = [self._aggregate(values) for values in self.history]
        if np.isnan(scores[-1]):
            return float("nan")
        if self.config.kind == "last":
            return scores[-1]
        if self.config.kind == "best":
            return float(np.nanmax(scores))
        return float(np.nanmean(scores[-WINDOW:] if self.config.kind == "window" else scores))

    def metrics(self) -> dict[str, float]:
        """Return the objective, and its confidence interval if there are several seeds."""
        bounds = self.interval()
        interval = {} if bounds is None else {"objective_low": bounds[0], "objective_high": bounds[1]}
        return {"objective": self.value(), **interval}

    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % bootstrap interval of `value` over seeds; None with fewer than two seeds that count."""
        scores = self._seed_scores()
        scores = scores[~np.isnan(scores)]
        if scores.size < 2 or np.isnan(self.value()):
            return None
        return percentile_interval(scores.tolist(), of=partial(aggregated, how=self.config.aggregate))

    def _seed_scores(self) -> NDArray[np.float64]:
        """Return the objective of each seed, [S]; NaN for seeds that are left out."""
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
