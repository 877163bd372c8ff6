"""Measures of a search, by hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tuners.metrics import at, incumbents, rank_correlation


def test_a_completed_configuration_is_chosen_before_a_better_unfinished_one() -> None:
    chosen = incumbents([0, 1, 0, 1, 2], [5, 9, 6, 4, 8], [False, False, True, True, False])
    assert chosen.tolist() == [0, 1, 0, 0, 0]


def test_a_chosen_configuration_that_falls_is_given_up() -> None:
    assert incumbents([0, 1, 0], [5, 4, 1], [False] * 3).tolist() == [0, 0, 1]


def test_a_report_of_nan_is_never_chosen() -> None:
    assert incumbents([0, 1, 1], [np.nan, -3, np.nan], [False] * 3).tolist() == [-1, 1, 1]


def test_the_first_of_equal_configurations_stays() -> None:
    assert incumbents([3, 1, 2, 3], [7, 7, 7, 7], [True] * 4).tolist() == [3, 3, 3, 3]


def test_a_step_function_is_read_from_each_step_on() -> None:
    assert at([10, 20], [1.0, 2.0], [5, 10, 19, 20, 99], before=-1).tolist() == [-1, 1, 1, 2, 2]


def test_rank_correlation_is_of_the_order_only() -> None:
    assert rank_correlation([1, 2, 3], [1, 10, 100]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 1, 2, 3], [1, 1, 2, 2]) == pytest.approx(0.9428, abs=1e-4)  # scipy.stats.spearmanr
    assert rank_correlation([5, 5, 5], [1, 2, 3]) == 0
