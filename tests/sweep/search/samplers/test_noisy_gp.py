"""Bayesian optimization with the standard error of each trial."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.reports import STANDARD_ERROR, set_standard_error
from tuneexp.sweep.search.samplers.unit_cube import UnitCube

SPACE: dict[str, Any] = {
    "log": FloatDistribution(1e-5, 1e-2, log=True),
    "plain": FloatDistribution(-1.0, 3.0),
    "steps": FloatDistribution(0.0, 1.0, step=0.25),
    "int": IntDistribution(1, 9, step=2),
    "log_int": IntDistribution(1, 512, log=True),
    "choice": CategoricalDistribution(["a", None, 3]),
}


def test_points_of_the_cube_are_hyperparameters_and_back() -> None:
    cube = UnitCube(SPACE)
    assert cube.size == 8
    points = cube.snapped(np.random.default_rng(0).uniform(-0.2, 1.2, (300, cube.size)))
    params = [cube.params(point) for point in points]
    for name, one in SPACE.items():
        values = [each[name] for each in params]
        assert all(one._contains(one.to_internal_repr(value)) for value in values)
        if len(set(values)) < 20:  # each value has an equal part of the cube
            assert len(set(values)) == (3 if name == "choice" else 5)
    np.testing.assert_allclose([cube.point(each) for each in params], points, atol=1e-9)


def best_of(name: str, noise: Callable[[float], float], seed: int, trials: int = 30) -> float:
    """Return the true value at the point that looks best by a search with one noisy look at each point."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(sampler=build_sampler(name, SamplerContext(seed, trials)), direction="maximize")
    seen = []
    for _ in range(trials):
        trial = study.ask()
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 1e-4, 1e-1, log=True)
        true = -((x - 0.3) ** 2) - (np.log10(y) / 3 + 1) ** 2
        deviation = noise(x)
        set_standard_error(trial, {"objective_se": deviation, "return_per_seed": [0.0] * 3})
        study.tell(trial, true + deviation * rng.standard_normal())
        seen.append(true)
    return float(np.mean(seen[-8:]))


def test_it_searches_where_the_score_is_high_not_where_it_is_noisy() -> None:
    """Noise is large in half of the space: a lucky trial there must not hold the search."""

    def noise(x: float) -> float:
        return 0.4 if x > 0.6 else 0.02

    found = [[best_of(name, noise, seed) for seed in range(4)] for name in ("noisy_gp", "random")]
    assert np.mean(found[0]) > -0.06
    assert np.mean(found[1]) < -0.12


def test_a_copy_goes_on_with_the_same_suggestions() -> None:
    study = optuna.create_study(sampler=build_sampler("noisy_gp", SamplerContext(0, 12)))

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 5)

    study.optimize(objective, n_trials=8)
    copy = pickle.loads(pickle.dumps(study))
    for one in (study, copy):
        one.optimize(objective, n_trials=3)
    assert [t.params for t in study.trials] == [t.params for t in copy.trials]
    assert study.trials[0].user_attrs.get(STANDARD_ERROR) is None
