"""Aggregates of scores over seeds: mean, interquartile mean, median, minimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Aggregate = Literal["mean", "iqm", "min", "median"]


def aggregate(per_seed: Sequence[float], how: str) -> float:
    """Aggregate the scores of seeds.

    Args:
        per_seed: One score per seed.
        how: `mean`, `median`, `min` or `iqm`, the interquartile mean (Agarwal et al. 2021, arXiv:2108.13264): the mean
            without the lowest and the highest quarter of the scores, each rounded down to a whole number of scores.

    Returns:
        The aggregate; NaN without scores.
    """
    import numpy as np  # reports are printed without it

    values = np.asarray(per_seed, dtype=np.float64)
    return float(aggregated(values, how)) if values.size else float("nan")


def aggregated(values: NDArray[np.float64], how: str, axis: int = -1) -> Any:
    """Return `aggregate` along one axis of an array."""
    import numpy as np

    values = np.sort(values, axis=axis)
    if how == "iqm":
        from scipy.stats import trim_mean

        return trim_mean(values, 0.25, axis=axis)
    if how == "median":
        return np.median(values, axis=axis)
    return np.min(values, axis=axis) if how == "min" else np.mean(values, axis=axis)
