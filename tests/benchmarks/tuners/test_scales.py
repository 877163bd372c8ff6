"""Positions in the scale of a range, and values at them."""

from __future__ import annotations

import pytest

from benchmarks.tuners.scales import position, value_at
from tuneexp.sweep.search.space.dimensions import Choice, Range

MIDDLES = [
    (Range("uniform", 0.0, 2.0), 1.0),
    (Range("loguniform", 1e-5, 1e-1), 1e-3),
    (Range("complement_loguniform", 0.9, 0.999), 0.99),
    (Range("quniform", 0.0, 1.0, 0.25), 0.5),
    (Range("int", 2, 10), 6),
    (Range("logint", 10, 1000), 100),
]


@pytest.mark.parametrize(("values", "middle"), MIDDLES)
def test_ends_and_middle_of_a_range(values: Range, middle: float) -> None:
    assert [position(values, value) for value in (values.low, middle, values.high)] == pytest.approx([0, 0.5, 1])
    assert [value_at(values, share) for share in (0, 0.5, 1)] == [values.low, middle, values.high]


def test_values_have_four_digits_and_stay_in_the_range() -> None:
    assert value_at(Range("uniform", 0.0, 1.0), 1 / 3) == 0.3333
    assert value_at(Range("complement_loguniform", 0.9, 0.9999), 0.4) == 0.99369  # 1 - x is 10^-2.2, 0.006310
    assert value_at(Range("uniform", 0.0, 0.123444), 1.0) == 0.1234
    assert value_at(Range("uniform", 0.0, 0.123456), 1.0) == 0.123456


def test_options_of_a_choice_are_in_their_order() -> None:
    assert [position(Choice(("a", "b", "c")), option) for option in "abc"] == [0, 0.5, 1]
