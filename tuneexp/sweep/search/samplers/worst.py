"""Values of a trial without a result: the worst ones so far. Pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def worst_values(results: Iterable[Sequence[float]], maximized: Sequence[bool]) -> list[float] | None:
    """Return the worst value of each objective so far.

    A trial without a result is then dominated by each trial with one, or equal to it.

    Args:
        results: Values of the trials with a result, one for each objective, [K, M]. Values that are not finite are
            left out.
        maximized: True for each objective that is maximized, [M].

    Returns:
        The values, [M]; None if an objective has no finite value yet.
    """
    table = [list(values) for values in results]
    columns = [[values[index] for values in table if math.isfinite(values[index])] for index in range(len(maximized))]
    if not all(columns):
        return None
    return [min(column) if up else max(column) for column, up in zip(columns, maximized, strict=True)]
