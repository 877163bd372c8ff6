"""Bayesian optimization with a Gaussian process that uses the standard error of each trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from tuneexp.statistics.gaussian_process import GaussianProcess, fitted, log_expected_improvement
from tuneexp.statistics.variances import moderated_variances
from tuneexp.sweep.search.reports import SEEDS, STANDARD_ERROR
from tuneexp.sweep.search.samplers.unit_cube import UnitCube

Floats = NDArray[np.float64]

CANDIDATES = 1024
NEIGHBOURS = 64  # of each of the best points
MOST = 300  # trials that the process is fitted to: the best half of them and the newest ones
STEPS = (0.2, 0.05, 0.01)  # standard deviations of successive searches around the best candidates


class NoisyGpSampler(BaseSampler):
    """Suggest the point with the largest expected improvement over the best mean of the process.

    The best observation itself is mostly luck: it is the mean at an observed point that is improved on (Gramacy and Lee
    2011, section 3). Trials that violate a constraint count as the worst one.

    Args:
        n_startup_trials: Completed trials before the process is used.
        independent: Samples the first trials, and names that not every trial has.
        seed: Seed of the candidates.
    """

    def __init__(self, n_startup_trials: int, independent: BaseSampler, seed: int) -> None:
        self._startup, self._independent_sampler = n_startup_trials, independent
        self._rng = np.random.default_rng(seed)
        self._common = IntersectionSearchSpace()

    def reseed_rng(self) -> None:
        self._rng = np.random.default_rng()
        self._independent_sampler.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {name: one for name, one in self._common.calculate(study).items() if not one.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        # `_get_trials`: a sampler that carries pruned trials shows its own.
        trials = study._get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING), use_cache=True)
        ended = _kept([one for one in trials if one.state == TrialState.COMPLETE], study.direction)
        if not search_space or len(ended) < self._startup:
            return {}
        cube = UnitCube(search_space)
        running = [
            one for one in trials if one.state == TrialState.RUNNING and search_space.keys() <= one.params.keys()
        ]
        process = _process(cube, ended, study.direction)
        return cube.params(self._best(process.with_believed(_points(cube, running)), cube))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        self._raise_error_if_multi_objective(study)
        return self._independent_sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._independent_sampler.after_trial(study, trial, state, values)

    def _best(self, process: GaussianProcess, cube: UnitCube) -> Floats:
        """Return the best of points all over the cube and of points around the best ones, [d]."""
        mean = process.posterior(process.points)[0]
        best = float(mean.max())
        spread = qmc.Sobol(cube.size, seed=self._rng).random(CANDIDATES)
        found = np.concatenate([cube.snapped(spread), process.points[np.argsort(mean)[-3:]]])
        for step in STEPS:
            value = log_expected_improvement(*process.posterior(found), best)
            kept = found[np.argsort(value, kind="stable")[-5:]]
            moved = kept[:, None, :] + step * self._rng.standard_normal((len(kept), NEIGHBOURS, cube.size))
            found = np.concatenate([kept, cube.snapped(moved.reshape(-1, cube.size))])
        value = log_expected_improvement(*process.posterior(found), best)
        return np.asarray(found[value.argmax()])


def _kept(ended: list[FrozenTrial], direction: StudyDirection) -> list[FrozenTrial]:
    if len(ended) <= MOST:
        return ended
    ranked = sorted(ended, key=lambda one: one.values[0], reverse=direction == StudyDirection.MAXIMIZE)
    numbers = {one.number for one in (*ranked[: MOST // 2], *ended[-MOST // 2 :])}
    return [one for one in ended if one.number in numbers]


def _points(cube: UnitCube, trials: Sequence[FrozenTrial]) -> Floats:
    return np.array([cube.point(one.params) for one in trials]).reshape(-1, cube.size)


def _process(cube: UnitCube, ended: Sequence[FrozenTrial], direction: StudyDirection) -> GaussianProcess:
    sign = 1.0 if direction == StudyDirection.MAXIMIZE else -1.0
    values = np.array([sign * one.values[0] for one in ended])
    feasible = np.array([all(bound <= 0 for bound in one.constraints.values()) for one in ended])
    finite = values[np.isfinite(values)]
    values = (
        np.clip(values, finite.min(initial=0.0), finite.max(initial=0.0)) if not np.isfinite(values).all() else values
    )
    values = np.where(feasible, values, values.min())
    scale = values.std() or 1.0
    errors = np.array([one.user_attrs.get(STANDARD_ERROR, np.nan) for one in ended], np.float64)
    freedom = np.array([max(1, one.user_attrs.get(SEEDS, 2) - 1) for one in ended], np.float64)
    variances = moderated_variances((errors / scale) ** 2, freedom)
    return fitted(_points(cube, ended), (values - values.mean()) / scale, variances)
