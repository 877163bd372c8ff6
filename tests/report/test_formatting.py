"""Formatting of numbers and texts."""

from __future__ import annotations

import pytest

from tuneexp.nesting import flat
from tuneexp.report.formatting import count, course_words, duration, number, score, seeds


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.00031234, "0.0003123"),
        (50000.0, "50000"),
        (float("nan"), "-"),
        (None, "-"),
        (True, "True"),
        ("relu", "relu"),
        ([64, 64], "[64, 64]"),
        (7, "7"),
    ],
)
def test_numbers_are_short_and_other_values_stay_as_they_are(value: object, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(187.345, "187.3"), (-12, "-12.0"), (float("nan"), "-"), (2.5e7, "2.5e+07")]
)
def test_a_score_has_one_decimal(value: float, shown: str) -> None:
    assert score(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0s"), (59.6, "1m00s"), (75.2, "1m15s"), (7300, "2h01m"), (None, "-"), (float("inf"), "-")],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_consecutive_seeds_are_a_range_and_others_a_list() -> None:
    assert [seeds([0, 1, 2, 3]), seeds([3, 5, 8]), seeds([7]), seeds([0, 1])] == ["0-3", "3,5,8", "7", "0,1"]


def test_large_counts_have_thousands_marked() -> None:
    assert count(50_000) == "50,000"


def test_nested_settings_are_joined_with_a_slash() -> None:
    assert flat({"a": 1, "model": {"activation": "relu", "sizes": [1]}}) == {
        "a": 1,
        "model/activation": "relu",
        "model/sizes": [1],
    }


def test_hyperparameters_are_shown_with_their_course() -> None:
    changes = [
        {"env_steps": 500, "values": {"model/x": 2, "gamma": 0.5}},
        {"env_steps": 900, "values": {"gamma": 0.25}},
    ]
    assert course_words({"lr": 0.001, "model": {"x": 1}}) == "lr=0.001 model/x=1"
    words = course_words({"lr": 0.001, "gamma": 0.75, "model": {"x": 1}}, changes)
    assert words == "lr=0.001 gamma=0.75 (from 500: 0.5, from 900: 0.25) model/x=1 (from 500: 2)"
