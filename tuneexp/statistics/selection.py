"""Score of the best of several configurations, corrected for the choice among them by the same seeds.

The best of k noisy means is too high. Each bootstrap sample of the seeds chooses a configuration, and the seeds that it
left out score that choice: out-of-bag scores, which the choice has not seen (Breiman 1996, "Out-of-bag estimation")."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tuneexp.statistics.aggregates import aggregated
from tuneexp.statistics.intervals import Estimate, percentile_ends, resamples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class Winner(NamedTuple):
    """The best configuration.

    Attributes:
        row: Its row in the scores.
        score: Its aggregate over all seeds, as it stands.
        corrected: The same without the advantage of having been chosen, with an interval.
        chosen: Share of bootstrap samples in which each configuration is the best [k].
    """

    row: int
    score: float
    corrected: Estimate
    chosen: list[float]


def winner_of(scores: ArrayLike, how: str = "iqm", confidence: float = 0.95) -> Winner:
    """Choose the best configuration and correct its score for the choice.

    On the seeds that a bootstrap sample left out, its choice scores less than the overall winner, which owes its place
    to them, too. The mean of these differences is the correction; it is 0 if every sample chooses the same
    configuration, and never above 0: a choice makes no score too low. The interval of the winner's score moves by the
    same amount.

    Args:
        scores: [k, n], the scores of k configurations on the same n seeds, finite, n >= 2.
        how: The aggregate, as in `aggregate`.
        confidence: Confidence level, in (0, 1).

    Returns:
        The winner; of equal ones that with the highest mean, then the first.

    Raises:
        ValueError: There are no two seeds.
    """
    import numpy as np

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise ValueError(f"scores must be [configurations, seeds] with two seeds or more, not {table.shape}")
    n = table.shape[1]
    index = resamples(n)
    drawn, overall = np.asarray(aggregated(table[:, index], how)), np.asarray(aggregated(table, how))  # [k, B], [k]
    choices, best = _best(drawn, table[:, index].mean(axis=-1)), int(_best(overall, table.mean(axis=-1)))
    score, correction = float(overall[best]), min(0.0, _correction(table, index, choices, best, how))
    low, high = percentile_ends(drawn[best], n, confidence)
    corrected = Estimate(score + correction, low + correction, high + correction)
    return Winner(best, score, corrected, (np.bincount(choices, minlength=len(table)) / len(choices)).tolist())


def _best(scores: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the row of the highest score of each column, [...]; of equal ones by their means, then the first.

    scores, means: [k, ...]."""
    import numpy as np

    order = np.lexsort((means[::-1], scores[::-1]), axis=0)[-1]
    return np.asarray(len(scores) - 1 - order)


def _correction(
    table: NDArray[np.float64], index: NDArray[np.int64], choices: NDArray[np.int64], best: int, how: str
) -> float:
    """Return the mean over bootstrap samples of score(choice) - score(best) on the seeds left out."""
    import numpy as np

    left_out = np.ones((len(index), table.shape[1]), dtype=bool)
    np.put_along_axis(left_out, index, False, axis=1)
    sizes, total = left_out.sum(axis=1), 0.0
    others = (sizes > 0) & (choices != best)  # elsewhere the difference is 0
    for size in np.unique(sizes[others]).tolist():  # an aggregate depends on the number of seeds
        some = np.flatnonzero(others & (sizes == size))
        seeds = np.nonzero(left_out[some])[1].reshape(len(some), size)
        differences = aggregated(table[choices[some, None], seeds], how) - aggregated(table[best, seeds], how)
        total += float(np.sum(differences))
    return total / int((sizes > 0).sum())
