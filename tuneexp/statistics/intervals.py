"""Bootstrap confidence intervals over seeds.

All are percentile intervals (Efron and Tibshirani 1993, chapter 13), expanded for few observations (Hesterberg 2014,
arXiv:1411.5279): a plain one is too narrow by sqrt((n - 1) / n), and has the normal distribution in place of Student's.
The bootstrap samples come from a fixed seed, so equal scores give equal intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tuneexp.statistics.aggregates import aggregated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000  # bootstrap samples


class Estimate(NamedTuple):
    """A statistic and the ends of its confidence interval."""

    value: float
    low: float
    high: float


def estimate(values: Sequence[float], how: str = "mean", confidence: float = 0.95) -> Estimate:
    """Aggregate scores over seeds, with a bootstrap interval.

    Args:
        values: Scores [n], all finite, n >= 1. With one score the interval is that score.
        how: The aggregate, as in `aggregate`.
        confidence: Confidence level, in (0, 1).

    Returns:
        The aggregate and its interval.
    """
    import numpy as np

    value = float(aggregated(np.asarray(values, dtype=np.float64), how))
    return Estimate(value, *percentile_interval(values, confidence, partial(aggregated, how=how)))


def percentile_interval(
    values: Sequence[float], confidence: float = 0.95, of: Callable[..., Any] | None = None
) -> tuple[float, float]:
    """Percentile bootstrap confidence interval of a statistic, expanded for few observations.

    With two or three values the interval is about their range.

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
    return percentile_ends((of or np.mean)(sample[resamples(sample.size)], axis=-1), sample.size, confidence)


def resamples(size: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the indices of the bootstrap samples, [RESAMPLES, size]."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, size, (RESAMPLES, size))


def percentile_ends(statistics: ArrayLike, size: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of the expanded percentile interval.

    Args:
        statistics: The statistic of each bootstrap sample [B].
        size: Number n of independent observations.
        confidence: Confidence level, in (0, 1).

    Returns:
        Lower and upper end.
    """
    import numpy as np

    tail = 100.0 * expanded_tail(size, confidence)
    low, high = np.percentile(np.asarray(statistics), [tail, 100.0 - tail])
    return float(low), float(high)


@cache
def expanded_tail(size: int, confidence: float) -> float:
    """Return the share of bootstrap samples below the interval: Phi(-sqrt(n / (n - 1)) t) (Hesterberg 2014).

    t is the quantile (1 + confidence) / 2 of Student's distribution with n - 1 degrees of freedom."""
    from scipy.stats import norm, t

    if size < 2:
        return (1.0 - confidence) / 2.0
    return float(norm.cdf(-math.sqrt(size / (size - 1)) * t.ppf((1.0 + confidence) / 2.0, size - 1)))


def few_values(values: Sequence[float]) -> list[tuple[float, int]] | None:
    """Return the distinct scores with their counts, highest first, if there are at most two; else None.

    An interval says nothing about such scores: "500 on 8 of 10 seeds" says it all."""
    distinct = sorted(set(values), reverse=True)
    return [(value, list(values).count(value)) for value in distinct] if len(distinct) <= 2 else None
