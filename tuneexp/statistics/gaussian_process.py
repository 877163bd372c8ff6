"""Gaussian process regression in which each observation has a variance of its own.

Rasmussen and Williams 2006, sections 2.2 and 5.4.1, with the Matern kernel of order 5/2 (eq. 4.17) and a length scale
for each dimension. Inputs are in the unit cube."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr

Floats = NDArray[np.float64]

# Priors of the logarithms, as means and standard deviations. Length scales grow with the square root of the number of
# dimensions (Hvarfner et al. 2024, arXiv:2402.02229). Then the variances of the signal and of further noise.
_LENGTH = (2.0**0.5, 3.0**0.5)
_SIGNAL, _NOISE = (0.0, 1.0), (-5.0, 2.0)
_JITTER = 1e-8


@dataclass(frozen=True)
class GaussianProcess:
    """A process given its observations. Its mean is zero without them.

    Args:
        points: observed points [n, d].
        values: observations [n].
        variances: of the noise of each observation [n], beside the noise of the process.
        log_numbers: logarithms of the length scales, of the variance of the signal and of the noise, [d + 2].
    """

    points: Floats
    values: Floats
    variances: Floats
    log_numbers: Floats

    def __post_init__(self) -> None:
        factor = cho_factor(_covariance(self.points, self.variances, self.log_numbers)[0], lower=True)
        object.__setattr__(self, "_lower", np.tril(factor[0]))
        object.__setattr__(self, "_weights", cho_solve(factor, self.values))

    def posterior(self, points: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the function itself, without noise, [m] each. points: [m, d]."""
        across = _kernel(points, self.points, self.log_numbers)[0]
        mean: Floats = across @ self._weights  # type: ignore[attr-defined]
        explained = solve_triangular(self._lower, across.T, lower=True)  # type: ignore[attr-defined]
        variance = np.exp(self.log_numbers[-2]) - (explained**2).sum(axis=0)
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def with_believed(self, points: Floats) -> GaussianProcess:
        """Return the process as if its mean had been observed at `points` [m, d], which are being evaluated.

        The "Kriging believer" of Ginsbourger et al. 2010, section 4."""
        if not len(points):
            return self
        believed = np.concatenate([self.values, self.posterior(points)[0]])
        variances = np.concatenate([self.variances, np.zeros(len(points))])
        return GaussianProcess(np.concatenate([self.points, points]), believed, variances, self.log_numbers)


def fitted(points: Floats, values: Floats, variances: Floats) -> GaussianProcess:
    """Fit length scales, signal and noise to observations: the largest posterior density from two starts.

    Args:
        points: [n, d] in the unit cube, n >= 1.
        values: [n], of mean 0 and variance about 1.
        variances: of the noise of each value [n].

    Returns:
        The process given the observations.
    """
    dimensions = points.shape[1]
    middle = np.array([_LENGTH[0] + np.log(max(1, dimensions)) / 2] * dimensions + [_SIGNAL[0], _NOISE[0]])
    spread = np.array([_LENGTH[1]] * dimensions + [_SIGNAL[1], _NOISE[1]])

    def cost(numbers: Floats) -> tuple[float, Floats]:
        evidence, gradient = _log_evidence(points, values, variances, numbers)
        off = (numbers - middle) / spread
        return 0.5 * float(off @ off) - evidence, off / spread - gradient

    starts = [middle, np.concatenate([np.full(dimensions, np.log(0.3)), middle[-2:]])]
    limits = [(number - 4 * width, number + 4 * width) for number, width in zip(middle, spread, strict=True)]
    found = [
        minimize(cost, start, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 60}) for start in starts
    ]
    return GaussianProcess(points, values, variances, min(found, key=lambda one: float(one.fun)).x)


def log_expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Return the logarithm of the expected improvement over `best`, accurate where that is tiny.

    Ament et al. 2023 (arXiv:2310.20708), eq. 9 and appendix A.2.

    Args:
        mean: [m].
        deviation: standard deviations [m], above 0.
        best: value to improve on.

    Returns:
        [m].
    """
    z = (mean - best) / deviation
    log_density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.log(np.exp(log_density) + z * np.exp(log_ndtr(z)))
        # phi(z) + z Phi(z) = phi(z) (1 - |z| sqrt(pi / 2) erfcx(|z| / sqrt(2))), and about phi(z) / z^2 far away.
        far = log_density + np.log1p(-np.abs(z) * np.sqrt(np.pi / 2) * erfcx(np.abs(z) / np.sqrt(2)))
        tail = log_density - 2 * np.log(np.abs(z))
    improvement: Floats = np.where(z > -1, near, np.where(z > -1e4, far, tail)) + np.log(deviation)
    return improvement


def _kernel(first: Floats, second: Floats, log_numbers: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the covariances [n, m], the squared scaled differences [n, m, d], and the factor of their gradient."""
    scaled = (first[:, None, :] - second[None, :, :]) / np.exp(log_numbers[:-2])
    squares = scaled**2
    distance = np.sqrt(5 * squares.sum(axis=-1))
    signal = np.exp(log_numbers[-2] - distance)
    covariance: Floats = signal * (1 + distance + distance**2 / 3)
    return covariance, squares, 5 / 3 * signal * (1 + distance)


def _covariance(points: Floats, variances: Floats, log_numbers: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    covariance, squares, factor = _kernel(points, points, log_numbers)
    noisy = covariance + np.diag(variances + np.exp(log_numbers[-1]) + _JITTER)
    return noisy, covariance, squares, factor


def _log_evidence(points: Floats, values: Floats, variances: Floats, log_numbers: Floats) -> tuple[float, Floats]:
    """Return the logarithm of the marginal likelihood (eq. 2.30) and its gradient (eq. 5.9)."""
    noisy, covariance, squares, factor = _covariance(points, variances, log_numbers)
    lower = cho_factor(noisy, lower=True)
    weights = cho_solve(lower, values)
    evidence = -0.5 * values @ weights - np.log(np.diag(lower[0])).sum() - 0.5 * len(values) * np.log(2 * np.pi)
    outer = np.outer(weights, weights) - cho_solve(lower, np.eye(len(values)))
    of_lengths = 0.5 * np.einsum("ij,ij,ijk->k", outer, factor, squares)
    of_signal, of_noise = 0.5 * (outer * covariance).sum(), 0.5 * np.exp(log_numbers[-1]) * np.trace(outer)
    return float(evidence), np.array([*of_lengths, of_signal, of_noise])
