"""Bootstrap intervals: worked values, ties, and coverage of the truth in simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import trim_mean

from tuneexp.statistics.intervals import estimate, expanded_tail, few_values, percentile_interval


def test_the_tail_of_few_seeds_is_that_of_student() -> None:
    # t(0.975, 4) = 2.776; 2.776 * sqrt(5 / 4) = 3.104; the normal distribution has 0.096 % below -3.104.
    assert expanded_tail(5, 0.95) == pytest.approx(0.00096, abs=2e-5)
    assert expanded_tail(10**6, 0.95) == pytest.approx(0.025, abs=1e-5)


def test_of_two_seeds_the_interval_is_their_range() -> None:
    assert percentile_interval([3.0, 7.0]) == (3.0, 7.0)


def test_equal_scores_and_a_single_one_have_no_width() -> None:
    assert tuple(estimate([500.0] * 10, "iqm")) == (500.0, 500.0, 500.0)
    assert tuple(estimate([2.5])) == (2.5, 2.5, 2.5)


def test_many_ties_give_finite_ends() -> None:
    low, high = percentile_interval([500.0] * 8 + [480.0, 470.0])
    assert 470 <= low < 495 <= high <= 500


@pytest.mark.parametrize("how", ["mean", "iqm"])
@pytest.mark.parametrize(("seeds", "at_least"), [(5, 0.88), (10, 0.91)])
@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_the_interval_covers_the_truth(how: str, seeds: int, at_least: float, law: str) -> None:
    """A plain percentile interval of a normal mean covers 83 % at 5 seeds, one of an exponential mean 80 %."""
    generator = np.random.default_rng(0)
    draw = generator.standard_normal if law == "normal" else generator.standard_exponential
    many = draw(400_000)
    truth = float(trim_mean(many, 0.25)) if how == "iqm" else float(many.mean())
    covered = [low <= truth <= high for _, low, high in (estimate(draw(seeds).tolist(), how) for _ in range(200))]
    assert np.mean(covered) >= at_least - (0.05 if law == "exponential" else 0)


def test_at_most_two_distinct_scores_are_counted() -> None:
    assert few_values([500.0, 480.0, 500.0]) == [(500.0, 2), (480.0, 1)]
    assert few_values([500.0] * 3) == [(500.0, 3)]
    assert few_values([1.0, 2.0, 3.0]) is None
