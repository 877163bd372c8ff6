"""Partition of a range into contiguous parts of equal size."""

from __future__ import annotations

from itertools import pairwise


def even_slices(length: int, n_parts: int) -> list[slice]:
    """Return slices that cover `range(length)` in order. Their sizes differ by at most one.

    Args:
        length: size of the range.
        n_parts: number of slices. With more parts than elements some are empty.
    """
    edges = [length * part // n_parts for part in range(n_parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]
