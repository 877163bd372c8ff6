"""Bootstrap confidence intervals (Efron and Tibshirani 1993, chapter 13: percentile intervals)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

RESAMPLES = 2000  # bootstrap samples


def percentile_interval(
    values: Sequence[float], confidence: float = 0.95, of: Callable[..., Any] | None = None
) -> tuple[float, float]:
    """Percentile bootstrap confidence interval of a statistic.

    The bootstrap samples come from a fixed seed, so equal values give equal intervals. With two values the interval is
    their range.

    Args:
        values: Independent observations [n], all finite.
        confidence: Confidence level, in (0, 1).
        of: The statistic, a function of an array [..., n] and `axis`. None: the mean.

    Returns:
        Lower and upper end of the interval.
    """
    import numpy as np  # reports are printed without it

    sample = np.asarray(values, dtype=np.float64)
    if sample.min() == sample.max():
        return float(sample[0]), float(sample[0])
    index = np.random.default_rng(0).integers(0, sample.size, (RESAMPLES, sample.size))
    statistics = (of or np.mean)(sample[index], axis=-1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(statistics, [tail, 100.0 - tail])
    return float(low), float(high)
