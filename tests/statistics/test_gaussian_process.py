"""Gaussian process with a variance for each observation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import check_grad
from scipy.stats import norm

from tuneexp.statistics.gaussian_process import GaussianProcess, _log_evidence, fitted, log_expected_improvement

Floats = NDArray[np.float64]
RNG = np.random.default_rng(0)
POINTS = RNG.random((12, 3))
VALUES = np.sin(3 * POINTS[:, 0]) + POINTS[:, 1] ** 2
VARIANCES = RNG.random(12) * 0.1
NUMBERS = np.array([-0.7, 0.2, 1.0, 0.3, -4.0])


def test_the_gradient_of_the_evidence_is_that_of_finite_differences() -> None:
    def evidence(numbers: Floats) -> float:
        return _log_evidence(POINTS, VALUES, VARIANCES, numbers)[0]

    def gradient(numbers: Floats) -> Floats:
        return _log_evidence(POINTS, VALUES, VARIANCES, numbers)[1]

    assert check_grad(evidence, gradient, NUMBERS) < 1e-4


def test_posterior_and_evidence_are_those_of_the_joint_normal_distribution() -> None:
    new = RNG.random((4, 3))
    everywhere = np.concatenate([POINTS, new])
    difference = (everywhere[:, None] - everywhere[None]) / np.exp(NUMBERS[:3])
    r = np.sqrt((difference**2).sum(-1))
    joint = np.exp(0.3) * (1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r)
    noisy = joint[:12, :12] + np.diag(VARIANCES + np.exp(-4.0))
    mean = joint[12:, :12] @ np.linalg.solve(noisy, VALUES)
    covariance = joint[12:, 12:] - joint[12:, :12] @ np.linalg.solve(noisy, joint[:12, 12:])
    own = GaussianProcess(POINTS, VALUES, VARIANCES, NUMBERS).posterior(new)
    np.testing.assert_allclose(own[0], mean, atol=1e-5)
    np.testing.assert_allclose(own[1], np.sqrt(np.diag(covariance)), atol=1e-5)
    quadratic = -0.5 * VALUES @ np.linalg.solve(noisy, VALUES) - 0.5 * np.linalg.slogdet(2 * np.pi * noisy)[1]
    assert _log_evidence(POINTS, VALUES, VARIANCES, NUMBERS)[0] == pytest.approx(quadratic, abs=1e-4)


def test_a_noisy_outlier_moves_the_mean_less_than_a_precise_one() -> None:
    points = np.linspace(0, 1, 9)[:, None]
    values = np.zeros(9)
    values[4] = 2.0
    precise, noisy = np.zeros(9), np.zeros(9)
    noisy[4] = 4.0
    numbers = np.log([0.3, 1.0, 0.01])
    at = [GaussianProcess(points, values, own, numbers).posterior(points[4:5])[0][0] for own in (precise, noisy)]
    assert at[0] > 1.0
    assert abs(at[1]) < 0.5


def test_a_fit_finds_the_dimensions_that_matter() -> None:
    points = RNG.random((40, 4))
    process = fitted(points, np.sin(6 * points[:, 2]), np.zeros(40))
    assert process.log_numbers[:4].argmin() == 2
    new = RNG.random((100, 4))
    assert np.abs(process.posterior(new)[0] - np.sin(6 * new[:, 2])).mean() < 0.05


def test_a_believed_point_keeps_the_mean_and_has_no_uncertainty() -> None:
    process, new = fitted(POINTS, VALUES, VARIANCES), RNG.random((2, 3))
    believing = process.with_believed(new)
    np.testing.assert_allclose(believing.posterior(new)[0], process.posterior(new)[0], atol=1e-3)
    assert (believing.posterior(new)[1] < process.posterior(new)[1]).all()
    assert process.with_believed(new[:0]) is process


@pytest.mark.parametrize("mean", [2.0, 0.0, -1.0, -3.0])
def test_expected_improvement_is_the_integral(mean: float) -> None:
    integral = quad(lambda y: (y - 0.5) * norm.pdf(y, mean, 0.7), 0.5, 20)[0]
    found = log_expected_improvement(np.array([mean]), np.array([0.7]), 0.5)[0]
    assert found == pytest.approx(np.log(integral), abs=1e-6)


def test_expected_improvement_grows_with_the_mean_however_small_it_is() -> None:
    means = -np.logspace(6, -6, 400)
    found = log_expected_improvement(means, np.ones(400), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
