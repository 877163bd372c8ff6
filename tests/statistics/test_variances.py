"""Variances of groups with a few observations each."""

from __future__ import annotations

import numpy as np
import pytest

from tuneexp.statistics.variances import moderated_variances

RNG = np.random.default_rng(0)


def drawn(true: np.ndarray, n: int) -> np.ndarray:
    return (np.sqrt(true)[:, None] * RNG.standard_normal((len(true), n))).var(axis=1, ddof=1)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_equal_variances_are_pooled(n: int) -> None:
    seen = drawn(np.full(400, 4.0), n)
    found = moderated_variances(seen, np.full(400, n - 1.0))
    assert found.mean() == pytest.approx(4.0, rel=0.35)
    assert found.std() < 0.5 * seen.std()


def test_variances_that_differ_by_orders_of_magnitude_stay_their_own() -> None:
    true = 10.0 ** RNG.uniform(-4, 4, 400)
    seen = drawn(true, 3)
    found = moderated_variances(seen, np.full(400, 2.0))
    assert np.median(np.abs(np.log(found / seen))) < 0.3


def test_in_between_they_are_better_than_their_own_and_than_the_mean() -> None:
    true = np.exp(RNG.standard_normal(400))
    seen = drawn(true, 4)

    def error(guess: np.ndarray) -> float:
        return float(np.abs(np.log(guess / true)).mean())

    found = error(moderated_variances(seen, np.full(400, 3.0)))
    assert found < error(seen)
    assert found < error(np.full(400, seen.mean()))


def test_an_unknown_variance_is_the_common_one_and_none_is_zero() -> None:
    found = moderated_variances(np.array([0.0, 4.0, 4.0, np.nan]), np.full(4, 2.0))
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert (moderated_variances(np.array([np.nan, np.nan]), np.ones(2)) == 0).all()
    assert (moderated_variances(np.zeros(3), np.ones(3)) == 0).all()
    assert moderated_variances(np.array([2.0]), np.array([2.0]))[0] > 0
