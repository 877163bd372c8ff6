"""Variances of many groups, each with a few observations: empirical Bayes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

Floats = NDArray[np.float64]

LEAST = 1e-5  # of the median: a variance of 0 by a few equal observations
_MOST_FREEDOM = 1e4


def moderated_variances(variances: Floats, freedom: Floats) -> Floats:
    """Return better estimates of variances, each between its own estimate and a common one.

    A variance of a few observations is uncertain: three equal ones have none. How much the common value counts follows
    from how far the estimates differ beyond their own uncertainty. Smyth 2004, "Linear models and empirical Bayes
    methods for assessing differential expression in microarray experiments", eq. 3 and section 6.2.

    Args:
        variances: Sample variances [n], not negative; NaN where there is none.
        freedom: Degrees of freedom of each, above 0 [n].

    Returns:
        Estimates [n]; where there was none, the common value, and all 0 if no variance is known or positive.
    """
    known = ~np.isnan(variances)
    positive = variances[known & (variances > 0)]
    if not positive.size:
        return np.zeros_like(variances)
    own = np.maximum(variances[known], LEAST * np.median(positive))
    half = freedom[known] / 2
    logs = np.log(own) - digamma(half) + np.log(half)
    prior = _freedom(float(logs.var(ddof=1) - polygamma(1, half).mean())) if logs.size > 1 else _MOST_FREEDOM
    common = np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2))
    found = np.full_like(variances, common)
    found[known] = (prior * common + freedom[known] * own) / (prior + freedom[known])
    return found


def _freedom(excess: float) -> float:
    """Return the degrees of freedom whose logarithmic variance is `excess`: trigamma(freedom / 2) = excess."""

    def miss(freedom: float) -> float:
        return float(polygamma(1, freedom / 2)) - excess

    least = 1e-3
    if miss(_MOST_FREEDOM) >= 0:
        return _MOST_FREEDOM
    return least if miss(least) <= 0 else float(brentq(miss, least, _MOST_FREEDOM))
