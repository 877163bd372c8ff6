"""Aggregates over seeds, by hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuneexp.statistics.aggregates import aggregate, aggregated


@pytest.mark.parametrize(
    ("scores", "iqm"),
    [
        ([1, 2, 3, 4], 2.5),
        ([100, 3, 2, 1], 2.5),  # one of each end is left out
        ([0, 1, 2, 3, 4, 5, 6, 100], 3.5),
        ([1, 2, 100], 103 / 3),  # a quarter of three is no whole score
        ([7], 7),
    ],
)
def test_the_interquartile_mean_leaves_out_the_outer_quarters(scores: list[float], iqm: float) -> None:
    assert aggregate(scores, "iqm") == pytest.approx(iqm)


def test_no_scores_have_no_aggregate() -> None:
    assert math.isnan(aggregate([], "mean"))


@pytest.mark.parametrize("how", ["mean", "iqm", "min", "median"])
def test_along_an_axis_it_is_the_same_as_one_by_one(how: str) -> None:
    table = np.random.default_rng(0).normal(size=(3, 9))
    assert aggregated(table, how) == pytest.approx([aggregate(row.tolist(), how) for row in table])
    assert aggregated(table.T, how, axis=0) == pytest.approx([aggregate(row.tolist(), how) for row in table])
