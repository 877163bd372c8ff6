"""Partition of a range into even parts."""

from __future__ import annotations

import pytest

from tuneexp.partition import even_slices


@pytest.mark.parametrize(("length", "n_parts"), [(5, 2), (64, 3), (4, 4), (2, 3), (1, 1)])
def test_parts_cover_the_range_in_order_and_differ_by_at_most_one(length: int, n_parts: int) -> None:
    parts = even_slices(length, n_parts)
    assert len(parts) == n_parts
    assert [index for part in parts for index in range(part.start, part.stop)] == list(range(length))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
