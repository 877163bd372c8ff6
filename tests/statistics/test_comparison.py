"""Comparisons over seeds: worked values, and coverage in simulations."""

from __future__ import annotations

import numpy as np
import pytest

from tuneexp.statistics.comparison import difference, paired_difference, probability_of_improvement


def test_ties_count_half() -> None:
    assert probability_of_improvement([1, 2], [1, 2]).value == 0.5
    assert probability_of_improvement([2, 2], [1, 2]).value == 0.75
    assert tuple(probability_of_improvement([3] * 20, [1] * 20)) == (1.0, 1.0, 1.0)


def test_a_difference_that_all_seeds_share_is_certain_only_in_pairs() -> None:
    seeds = np.array([100.0, 200.0, 300.0, 400.0, 500.0])
    assert tuple(paired_difference(seeds + 10, seeds, "mean")) == pytest.approx((10, 10, 10))
    apart = difference(seeds + 10, seeds, "mean")
    assert apart.value == pytest.approx(10)
    assert apart.low < -100
    assert apart.high > 100


def test_scores_of_other_numbers_of_seeds_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="paired"):
        probability_of_improvement([1, 2, 3], [1, 2], paired=True)


def test_different_numbers_of_seeds_are_compared_unpaired() -> None:
    assert difference([1, 2, 3], [1, 1], "mean").value == 1
    assert probability_of_improvement([1, 2, 3], [2, 2]).value == 0.5


@pytest.mark.parametrize("seeds", [5, 10])
def test_intervals_cover_the_truth(seeds: int) -> None:
    generator = np.random.default_rng(0)
    hits = np.zeros(3)
    repetitions = 150
    for _ in range(repetitions):
        common, ours, theirs = generator.normal(size=(3, seeds))
        pairs = paired_difference(common + ours + 1, common + theirs, "mean")
        apart = difference(ours + 1, theirs, "mean")
        better = probability_of_improvement(ours, theirs)
        hits += [pairs.low <= 1 <= pairs.high, apart.low <= 1 <= apart.high, better.low <= 0.5 <= better.high]
    assert (hits / repetitions >= 0.88).all()
