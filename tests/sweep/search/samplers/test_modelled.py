"""The line that names the modelled hyperparameters: each claim is compared with what the sampler does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution

from tuneexp.algorithms.registry import load_spec
from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.samplers.modelled import Modelled, modelled
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.default import FOLDER

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = SearchSpace.of(
    {
        "learning_rate": {"loguniform": [1e-5, 1e-1]},
        "gamma": {"complement_loguniform": [0.9, 0.999]},
        "width": {"int": [1, 9]},
        "activation": {"choice": ["tanh", "relu", "elu"]},
        "ent": {"choice": [0.0, {"uniform": [0.1, 1.0]}]},
        "one": {"choice": [3]},
    }
)
NUMBERS = {"learning_rate", "gamma", "width"}
CHOICES = {"activation", "ent"}
BRANCH = {"ent (range)"}


def claim(sampler: Any, space: SearchSpace = SPACE) -> Modelled:
    name = sampler if isinstance(sampler, str) else sampler["name"]
    return modelled(name, build_sampler(sampler, SamplerContext(0, 40, space)), space)


CLAIMS: list[tuple[Any, dict[str, set[str]]]] = [
    ("tpe", {"joint": NUMBERS | CHOICES, "alone": BRANCH}),
    ({"name": "tpe", "group": True}, {"joint": NUMBERS | CHOICES | BRANCH}),
    ({"name": "tpe", "multivariate": False}, {"alone": NUMBERS | CHOICES | BRANCH}),
    ("gp", {"joint": NUMBERS | CHOICES, "random": BRANCH}),
    ({"name": "gp", "others": "tpe"}, {"joint": NUMBERS | CHOICES, "alone": BRANCH}),
    ("noisy_gp", {"joint": NUMBERS | CHOICES, "random": BRANCH}),
    ("cmaes", {"joint": NUMBERS, "random": CHOICES | BRANCH}),
    ({"name": "cmaes", "others": "tpe"}, {"joint": NUMBERS, "alone": CHOICES | BRANCH}),
    ({"name": "cmaes", "carry_pruned": True}, {"joint": NUMBERS, "random": CHOICES | BRANCH}),
    ("nsga2", {"joint": NUMBERS | CHOICES, "random": BRANCH}),
    ("nsga3", {"joint": NUMBERS | CHOICES, "random": BRANCH}),
    ("random", {"random": NUMBERS | CHOICES | BRANCH}),
]


def shown_as(parts: Modelled) -> dict[str, set[str]]:
    found = {part: set(getattr(parts, part)) for part in ("joint", "alone", "spread", "random", "unknown")}
    return {part: names for part, names in found.items() if names}


@pytest.mark.parametrize(("sampler", "parts"), CLAIMS, ids=[str(sampler) for sampler, _ in CLAIMS])
def test_the_claim(sampler: Any, parts: dict[str, set[str]]) -> None:
    assert shown_as(claim(sampler)) == parts


def place(distribution: BaseDistribution, value: Any) -> float:
    """Position of a value in its range or list of options, from 0 to 1."""
    internal: float = distribution.to_internal_repr(value)
    if isinstance(distribution, CategoricalDistribution):
        return internal / (len(distribution.choices) - 1)
    ends: Any = distribution
    if ends.log:
        return (math.log(internal) - math.log(ends.low)) / (math.log(ends.high) - math.log(ends.low))
    return (internal - ends.low) / (ends.high - ends.low)


def places(trial: optuna.Trial) -> dict[str, float]:
    varied = {name: one for name, one in trial.distributions.items() if not one.single()}
    return {name: place(one, trial.params[name]) for name, one in varied.items()}


def drift(sampler: Any, told: int, asked: int) -> dict[str, float]:
    """Mean place of each name in suggestions after random trials whose score is the sum of their places.

    About 0.5 for a name that the sampler draws at random. The branch is there if ent is not 0."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(told):
        trial = study.ask()
        SPACE.suggest(trial)
        study.tell(trial, sum(places(trial).values()))
    study.sampler = build_sampler(sampler, SamplerContext(0, told, SPACE))
    found: dict[str, list[float]] = {}
    for _ in range(asked):
        trial = study.ask()
        SPACE.suggest(trial)
        for name, where in places(trial).items():
            found.setdefault(name, []).append(where)
        study.tell(trial, sum(places(trial).values()))
    return {name: float(np.mean(where[-asked // 2 :])) for name, where in found.items()}


SEQUENCES = [
    ("tpe", 40, 120),
    ({"name": "tpe", "group": True}, 40, 120),
    ({"name": "tpe", "multivariate": False}, 40, 60),
    ("gp", 16, 8),
    ("noisy_gp", 16, 24),
    ("cmaes", 4, 120),
    ({"name": "cmaes", "others": "tpe"}, 4, 200),
    ("nsga2", 4, 160),
    ("nsga3", 4, 160),
    ("random", 40, 120),
]


@pytest.mark.parametrize(("sampler", "told", "asked"), SEQUENCES, ids=[str(one[0]) for one in SEQUENCES])
def test_modelled_names_move_to_better_values_and_random_ones_do_not(sampler: Any, told: int, asked: int) -> None:
    parts, moved = claim(sampler), drift(sampler, told, asked)
    back = {"gamma": "1-gamma", "ent (range)": "ent:uniform"}
    for name in (*parts.joint, *parts.alone):
        assert moved[back.get(name, name)] > 0.64, (name, moved)
    for name in parts.random:
        assert asked < 60 or moved[back.get(name, name)] < 0.62, (name, moved)


@pytest.mark.parametrize(
    ("sampler", "line"),
    [
        ("cmaes", "cmaes models 3 of 6: learning_rate, gamma, width; at random: activation, ent, ent (range)"),
        ("tpe", "tpe models 6 of 6; one at a time: ent (range)"),
        ({"name": "tpe", "group": True}, "tpe models 6 of 6"),
        ("random", "random draws all 6 at random; it learns from no trial"),
    ],
)
def test_the_line_names_them(sampler: Any, line: str) -> None:
    assert claim(sampler).line() == line


def test_quasi_monte_carlo_spreads_the_names_of_the_first_point() -> None:
    space = SearchSpace.of({**SPACE.to_mapping(), "initial": [POINT]})
    assert shown_as(claim("qmc", space)) == {"spread": NUMBERS | CHOICES, "random": BRANCH}
    assert claim("qmc", space).line().endswith("it learns from no trial")


POINT = {"learning_rate": 1e-3, "gamma": 0.99, "width": 2, "activation": "relu", "ent": 0.0, "one": 3}


def test_grid_and_brute_force_name_their_combinations() -> None:
    space = SearchSpace.of({"width": {"int": [1, 3]}, "activation": {"choice": ["tanh", "relu"]}})
    for sampler in ("grid", "brute_force"):
        assert claim(sampler, space).line() == (
            f"{sampler} tries all combinations of width, activation; it learns from no trial"
        )


def shipped(algorithm: str, **fixed: Any) -> SearchSpace:
    return SearchSpace.load(FOLDER / f"{algorithm}.yaml").validate(load_spec(algorithm).config_class, fixed, algorithm)


@pytest.mark.parametrize(
    ("algorithm", "fixed", "sampler", "count", "total"),
    [
        ("ppo", {}, "gp", 10, 11),
        ("ppo", {}, "cmaes", 4, 11),
        # A batch of 256 does not fit into the rollouts of one environment.
        ("ppo", {"n_envs": 1}, "gp", 10, 11),
        ("ppo", {"n_envs": 1}, "nsga2", 10, 11),
    ],
)
def test_constraints_hide_nothing_from_a_model(
    algorithm: str, fixed: dict[str, Any], sampler: str, count: int, total: int
) -> None:
    parts = claim(sampler, shipped(algorithm, **fixed))
    assert (len(parts.joint), parts.total) == (count, total)


def test_the_sampler_of_the_sweep_is_not_changed() -> None:
    sampler = build_sampler("tpe", SamplerContext(0, 8, SPACE))
    modelled("tpe", sampler, SPACE)
    first, second = (
        optuna.create_study(sampler=one) for one in (sampler, build_sampler("tpe", SamplerContext(0, 8, SPACE)))
    )
    for _ in range(6):
        trials = [study.ask() for study in (first, second)]
        assert SPACE.suggest(trials[0]) == SPACE.suggest(trials[1])
        first.tell(trials[0], 1.0), second.tell(trials[1], 1.0)
