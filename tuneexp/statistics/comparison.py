"""Comparisons of two configurations over seeds: paired differences and the probability of improvement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneexp.statistics.aggregates import aggregated
from tuneexp.statistics.intervals import Estimate, percentile_ends, resamples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def paired_difference(ours: ArrayLike, theirs: ArrayLike, how: str = "iqm", confidence: float = 0.95) -> Estimate:
    """Difference of two aggregates over the same seeds, with an interval from seeds that are resampled in pairs.

    Args:
        ours: Scores [n], finite.
        theirs: Scores [n] of the same seeds, in the same order.
        how: The aggregate, as in `aggregate`.
        confidence: Confidence level, in (0, 1).

    Returns:
        aggregate(ours) - aggregate(theirs) and its interval.

    Raises:
        ValueError: The numbers of seeds differ.
    """
    left, right = _pairs(ours, theirs)
    index = resamples(left.size)
    differences = aggregated(left[index], how) - aggregated(right[index], how)
    value = float(aggregated(left, how) - aggregated(right, how))
    return Estimate(value, *percentile_ends(differences, left.size, confidence))


def difference(ours: ArrayLike, theirs: ArrayLike, how: str = "iqm", confidence: float = 0.95) -> Estimate:
    """Difference of two aggregates over different seeds; both sides are resampled independently.

    Args:
        ours: Scores [n], finite.
        theirs: Scores [m], finite.
        how: The aggregate, as in `aggregate`.
        confidence: Confidence level, in (0, 1).

    Returns:
        aggregate(ours) - aggregate(theirs) and its interval.
    """
    left, right = _array(ours), _array(theirs)
    drawn_left, drawn_right = left[resamples(left.size)], right[resamples(right.size, seed=1)]
    differences = aggregated(drawn_left, how) - aggregated(drawn_right, how)
    value = float(aggregated(left, how) - aggregated(right, how))
    return Estimate(value, *percentile_ends(differences, min(left.size, right.size), confidence))


def probability_of_improvement(
    ours: ArrayLike, theirs: ArrayLike, paired: bool = False, confidence: float = 0.95
) -> Estimate:
    """Probability that a run of ours has a higher score than a run of theirs; ties count half.

    The statistic of Mann and Whitney (1947) divided by the number of pairs, as in Agarwal et al. 2021
    (arXiv:2108.13264, section 4.3).

    Args:
        ours: Scores [n], finite.
        theirs: Scores [m], finite.
        paired: Both sides have the same seeds in the same order, which are resampled together.
        confidence: Confidence level, in (0, 1).

    Returns:
        The probability and its interval.

    Raises:
        ValueError: `paired`, and the numbers of seeds differ.
    """
    import numpy as np

    left, right = _pairs(ours, theirs) if paired else (_array(ours), _array(theirs))
    wins = (left[:, None] > right[None, :]) + 0.5 * (left[:, None] == right[None, :])
    index = resamples(left.size)
    counts_left = _counts(index, left.size)
    counts_right = counts_left if paired else _counts(resamples(right.size, seed=1), right.size)
    shares = np.einsum("bn,nm,bm->b", counts_left, wins, counts_right, optimize=True) / wins.size
    return Estimate(float(wins.mean()), *percentile_ends(shares, min(wins.shape), confidence))


def _counts(index: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Return how often each observation is in each bootstrap sample, [B, size]."""
    import numpy as np

    return np.stack([np.bincount(one, minlength=size) for one in index]).astype(np.float64)


def _array(values: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def _pairs(ours: ArrayLike, theirs: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, right = _array(ours), _array(theirs)
    if left.shape != right.shape:
        raise ValueError(f"scores of {left.size} and {right.size} seeds can't be paired")
    return left, right
