"""Names of the metrics that trials report, and the direction that is usually meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Literal

from tuneexp.errors import UserError, nearest, shortened

Direction = Literal["max", "min"]

DEFAULT = "objective"
STEPS_TO = "env_steps_to/"  # followed by a score: environment steps per seed up to the first report that reaches it
# Metrics that trials of every algorithm report; None: neither direction is usual.
METRICS: dict[str, Direction | None] = {
    DEFAULT: "max",
    "objective_low": "max",
    "objective_high": "max",
    "objective_se": "min",
    "return_mean": "max",
    "return_std": "min",
    "wall_s": "min",
    "env_steps": "min",
    "parameters": "min",
    "time/env_steps_per_s": "max",
    "train/return_mean": "max",
    "train/episode_length_mean": None,
    "update/updates": "min",
    "update/learning_rate": None,
}
# Of several seeds only.
_OVER_SEEDS = ("return_std", "objective_low", "objective_high", "objective_se")
KEYS = {"wall_s": "time/train_s"}  # in a report, where it differs from the name in MLflow and here


def default_direction(name: str) -> Direction | None:
    """Return the direction of a metric that is meant if none is given; None for one without a usual direction."""
    if name.startswith(STEPS_TO):
        return "min"
    return METRICS.get(name) or ("max" if name.endswith("return_mean") else None)


def score_to_reach(name: str) -> float | None:
    """Return the score of a metric `env_steps_to/SCORE`; None for another metric. ValueError if it is no number."""
    if not name.startswith(STEPS_TO):
        return None
    try:
        score = float(name.removeprefix(STEPS_TO))
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"{name} names no score; write for example {STEPS_TO}475")
    return score


def require_possible(name: str) -> None:
    """Raise ValueError for a metric that no algorithm reports. Statistics of a loss have a slash: `update/NAME`."""
    if name not in METRICS and "/" not in name:
        raise ValueError(_never_reported(name, METRICS, ", ..."))


def check_metrics(names: Iterable[str], seeds: int, reported: Callable[[], Collection[str]]) -> None:
    """Check that trials report some metrics.

    Args:
        names: The metrics.
        seeds: Number of seeds of a trial.
        reported: Returns all metrics of a trial; called for a name that no algorithm needs to have.

    Raises:
        UserError: A metric is never reported, or needs several seeds.
    """
    for name in names:
        if name in _OVER_SEEDS and seeds == 1:
            raise UserError(f"the metric {name} is about several seeds, and there is 1; write --seeds 2 or more")
        if name in METRICS or name.startswith(STEPS_TO):
            continue
        known = {*METRICS, *reported()}
        if name not in known:
            raise UserError(_never_reported(name, sorted(known)))


def _never_reported(name: str, known: Collection[str], more: str = "") -> str:
    match = nearest(name, known)
    advice = f"did you mean {match!r}?" if match else f"it reports {', '.join(known)}, {STEPS_TO}SCORE{more}"
    return f"no trial reports the metric {shortened(name)}; {advice}"
