"""Objective of a trial: one number from the evaluations of all seeds so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneexp.statistics.aggregates import aggregate, aggregated
from tuneexp.statistics.intervals import percentile_interval
from tuneexp.trial.trial_config import ObjectiveConfig

WINDOW = 3


class Objective:
    """Evaluations of a trial, aggregated over seeds and reports. Schedulers and searchers maximize `value()`.

    Args:
        config: kind of aggregation.
        seeds: of the trial.
        scores: Scores whose environment steps are a metric, `env_steps_to/SCORE`, as texts.
    """

    def __init__(self, config: ObjectiveConfig, seeds: Sequence[int], scores: Sequence[str] = ()) -> None:
        self.config, self.n_seeds, self.scores = config, len(seeds), tuple(scores)
        self.reached: dict[str, int] = {}  # environment steps of the first evaluation that reached a score
        self.history: list[list[float]] = []
        self._worst = float("inf")

    def add(self, returns: NDArray[np.float64], failed: NDArray[np.bool_], env_steps: int = 0) -> None:
        """Add an evaluation. returns: [S], mean over episodes; failed: [S] bool, diverged seeds."""
        self._worst = min(self._worst, float(np.min(returns)))
        values = returns.astype(np.float64).copy()
        if failed.any():
            values[failed] = self._worst if self.config.failed_seeds == "worst" else np.nan
        if failed.all() or (failed.any() and self.config.failed_seeds == "fail"):
            values[:] = np.nan
        self.history.append(values.tolist())
        self.reached |= {
            text: env_steps for text in self.scores if text not in self.reached and self.last() >= float(text)
        }

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
        """Return the objective and the last mean return, with the spread over seeds if there are several."""
        bounds = self.interval()
        interval = {} if bounds is None else {"objective_low": bounds[0], "objective_high": bounds[1]}
        if bounds is not None:
            interval["objective_se"] = self.standard_error()
        spread = {} if self.n_seeds == 1 else {"return_std": self.spread()}
        reached = {f"env_steps_to/{text}": env_steps for text, env_steps in self.reached.items()}
        return {"objective": self.value(), **interval, "return_mean": self.last(), **spread, **reached}

    def spread(self) -> float:
        """Return the standard deviation over seeds of the last evaluation; NaN if every seed failed."""
        values = [value for value in self.history[-1] if not np.isnan(value)]
        return float(np.std(values)) if values else float("nan")

    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % bootstrap interval of `value` over seeds; None with fewer than two seeds that count."""
        scores = self._seed_scores()
        if scores.size < 2 or np.isnan(self.value()):
            return None
        return percentile_interval(scores.tolist(), of=partial(aggregated, how=self.config.aggregate))

    def standard_error(self) -> float:
        """Return the standard error of the mean of `value` over the seeds that count, at least two."""
        scores = self._seed_scores()
        return float(scores.std(ddof=1) / scores.size**0.5)

    def _seed_scores(self) -> NDArray[np.float64]:
        scores = seed_scores(np.asarray(self.history), self.config)
        return scores[~np.isnan(scores)]

    def _aggregate(self, values: Sequence[float]) -> float:
        return over_seeds(values, self.config.aggregate)

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "worst": self._worst, "reached": self.reached}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.history = [[float(value) for value in values] for values in state["history"]]
        self._worst = float(state["worst"])
        self.reached = {text: int(env_steps) for text, env_steps in state.get("reached", {}).items()}


def seed_scores(history: NDArray[np.float64], config: ObjectiveConfig) -> NDArray[np.float64]:
    """Return the objective of each seed.

    Args:
        history: Evaluations [reports, S]; NaN for seeds that are left out.
        config: Evaluations that count.

    Returns:
        Scores [S].
    """
    if config.kind == "best":
        best: NDArray[np.float64] = history[np.nanargmax([over_seeds(values, config.aggregate) for values in history])]
        return best
    spans = {"last": 1, "window": WINDOW, "auc": len(history)}
    mean: NDArray[np.float64] = history[-spans[config.kind] :].mean(axis=0)
    return mean


def over_seeds(values: Sequence[float] | NDArray[np.float64], how: str) -> float:
    """Return the aggregate of an evaluation over seeds, without NaN."""
    return aggregate([float(value) for value in values if not np.isnan(value)], how)
