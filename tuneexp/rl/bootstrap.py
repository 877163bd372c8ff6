"""Bootstrap confidence intervals (Efron and Tibshirani 1993)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

RESAMPLES = 2000


def percentile_interval(
    values: Sequence[float], confidence: float = 0.95, of: Callable[..., Any] | None = None
) -> tuple[float, float]:
    """Percentile bootstrap interval `(low, high)` of a statistic of independent `values` [n], all finite.

    of: the statistic, a function of an array [..., n] and `axis`; None: the mean. The resamples come from a fixed seed,
    so the same values give the same interval. With two values the interval is their range."""
    import numpy as np  # reports are printed without it

    sample = np.asarray(values, dtype=np.float64)
    if sample.min() == sample.max():
        return float(sample[0]), float(sample[0])
    drawn = np.random.default_rng(0).integers(0, sample.size, (RESAMPLES, sample.size))
    statistics = (of or np.mean)(sample[drawn], axis=-1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(statistics, [tail, 100.0 - tail])
    return float(low), float(high)
