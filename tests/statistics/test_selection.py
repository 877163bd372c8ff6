"""Correction for choosing the best by the same seeds: worked cases, bias and coverage in simulations."""

from __future__ import annotations

import numpy as np
import pytest

from tuneexp.statistics.intervals import estimate
from tuneexp.statistics.selection import winner_of


def test_a_configuration_that_always_wins_is_not_corrected() -> None:
    seeds = np.array([1.0, 2.0, 3.0, 4.0, 50.0])
    found = winner_of([seeds, seeds + 1000, seeds - 5])
    assert found.row == 1
    assert found.chosen == [0.0, 1.0, 0.0]
    assert found.corrected == estimate((seeds + 1000).tolist(), "iqm")
    assert winner_of([seeds]).corrected == estimate(seeds.tolist(), "iqm")


def test_of_equal_configurations_the_first_wins_and_nothing_is_corrected() -> None:
    found = winner_of([[500.0] * 4, [500.0] * 4])
    assert found.row == 0
    assert tuple(found.corrected) == (500.0, 500.0, 500.0)


def test_equal_interquartile_means_are_told_apart_by_their_means_and_no_correction_raises_a_score() -> None:
    """A ceiling of 500: the interquartile mean hides seeds that fail."""
    shaky, whole = [500.0] * 8 + [200.0, 100.0], [500.0] * 10
    found = winner_of([shaky, [500.0] * 9 + [450.0], whole, whole])
    assert found.row == 2
    assert found.chosen[3] == 0.0  # equal to the one before
    assert 450.0 < found.corrected.value <= found.score == 500.0
    worse = winner_of([[400.0] * 9 + [0.0], [300.0] * 10, [399.0] * 10], "iqm")
    assert worse.corrected.value <= worse.score


def test_one_seed_corrects_nothing() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        winner_of([[1.0], [2.0]])


@pytest.mark.parametrize("means", [(0.0, 0.0, 0.0), (0.0, 0.5, 2.0)])
def test_the_corrected_score_has_little_bias_and_its_interval_covers(means: tuple[float, ...]) -> None:
    """Three equal configurations, ten seeds: the best one's mean is 0.25 standard deviations too high."""
    generator, truths = np.random.default_rng(0), np.array(means)
    found = []
    for _ in range(120):
        winner = winner_of(truths[:, None] + generator.normal(size=(3, 10)), "mean")
        truth, corrected = truths[winner.row], winner.corrected
        found.append((winner.score - truth, corrected.value - truth, corrected.low <= truth <= corrected.high))
    naive, corrected_bias, coverage = np.mean(found, axis=0)
    assert abs(corrected_bias) < 0.12
    assert coverage >= 0.9
    if not any(means):
        assert naive > 0.18
