"""Grid and brute force: finite spaces, their refusals, and their end."""

from __future__ import annotations

import time
from typing import Any

import optuna
import pytest

from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.errors import UserError
from tuneexp.sweep.search.choice import SamplerContext, build_sampler, most_trials
from tuneexp.sweep.search.samplers.tells import is_exhausted
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.grid import grid_of

optuna.logging.set_verbosity(optuna.logging.WARNING)
CONTINUOUS = {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "activation": {"choice": ["tanh", "relu"]}}


def built(sampler: Any, mapping: dict[str, Any]) -> optuna.samplers.BaseSampler:
    return build_sampler(sampler, SamplerContext(0, 20, SearchSpace.of(mapping)))


@pytest.mark.parametrize("sampler", ["grid", "brute_force"])
def test_a_continuous_range_is_refused_with_its_name(sampler: str) -> None:
    with pytest.raises(UserError, match=r"learning_rate: .*continuous"):
        built(sampler, CONTINUOUS)


def test_points_per_range_spread_a_range_in_its_scale() -> None:
    space = SearchSpace.of(
        {"a": {"loguniform": [1e-4, 1e-2]}, "b": {"complement_loguniform": [0.9, 0.999]}, "c": {"uniform": [0, 1]}}
    )
    points = grid_of(space, 3)
    assert len(points) == 27
    assert sorted({point["a"] for point in points}) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert sorted({point["1-b"] for point in points}) == pytest.approx([0.001, 0.01, 0.1])
    assert sorted({point["c"] for point in points}) == [0, 0.5, 1]


def test_a_grid_has_the_steps_of_a_range_and_whole_numbers() -> None:
    space = SearchSpace.of({"a": {"quniform": [0.1, 0.3, 0.1]}, "b": {"int": [2, 6, 2]}, "c": {"logint": [1, 100]}})
    points = grid_of(space, 3)
    assert {point["a"] for point in points} == {0.1, 0.2, 0.3}
    assert {point["b"] for point in points} == {2, 4, 6}
    assert {point["c"] for point in points} == {1, 10, 100}
    assert len(points) == 27


def test_an_inactive_branch_adds_no_points() -> None:
    space = SearchSpace.of(
        {
            "shared": {"choice": [True, False]},
            "coef": {"choice": [0.1, 0.2, 0.3], "when": {"shared": True}},
            "ent": {"choice": [0, {"int": [1, 2]}]},
        }
    )
    assert len(grid_of(space)) == (3 + 1) * 3


def test_a_grid_holds_only_points_that_satisfy_the_constraints() -> None:
    space = SearchSpace.of({"n_steps": {"choice": [16, 64]}, "batch_size": {"choice": [64, 128, 256, 512]}})
    points = grid_of(space.validate(PPOConfig, {}, "ppo"))  # 8 environments: 128 and 512 rows
    assert sorted((point["n_steps"], point["batch_size"]) for point in points) == [
        (16, 64), (16, 128), (64, 64), (64, 128), (64, 256), (64, 512),
    ]  # fmt: skip


def test_a_grid_too_large_to_train_is_refused() -> None:
    with pytest.raises(UserError, match="10000"):
        grid_of(SearchSpace.of({name: {"int": [1, 30]} for name in "abc"}))


def in_a_function(trial: optuna.Trial) -> None:
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        trial.suggest_int("depth", 1, 3)


def test_brute_force_tries_all_of_a_function_and_grid_refuses_it() -> None:
    space = SearchSpace.of(in_a_function)
    with pytest.raises(UserError, match="brute_force"):
        build_sampler("grid", SamplerContext(0, 20, space))
    study = optuna.create_study(sampler=build_sampler("brute_force", SamplerContext(0, 20, space)))
    seen = set()
    while not is_exhausted(study):
        trial = study.ask()
        in_a_function(trial)
        seen.add(tuple(trial.params.values()))
        study.tell(trial, 1.0)
    assert seen == {("a", 1), ("a", 2), ("a", 3), ("b",)}
    assert len(study.trials) == 4


def test_brute_force_refuses_constraints_and_names_grid() -> None:
    space = SearchSpace.of({"n_steps": {"choice": [16, 64]}, "batch_size": {"choice": [64, 512]}})
    with pytest.raises(UserError, match=r"n_steps, batch_size.*grid"):
        build_sampler("brute_force", SamplerContext(0, 20, space.validate(PPOConfig, {}, "ppo")))


def conditional(trial: Any) -> dict[str, Any]:
    deep = trial.suggest_categorical("_deep", [True, False])
    width = trial.suggest_int("_width", 1, 5, step=2) if deep else 0
    trial.suggest_float("gamma", 0.9, 0.99, step=0.03)
    return {"n_epochs": width + trial.suggest_int("_width", 1, 5, step=2)} if deep else {}  # asked for again


def test_combinations_of_a_function_are_counted_once_each() -> None:
    space = SearchSpace.from_function(conditional)
    assert most_trials("brute_force", SamplerContext(0, 1000, space)) == (3 + 1) * 4
    assert most_trials("brute_force", SamplerContext(0, 7, space)) == 7
    most = SearchSpace.of({name: {"int": [1, 10]} for name in ("n_envs", "n_steps", "n_epochs", "batch_size")})
    started = time.process_time()
    assert most_trials("brute_force", SamplerContext(0, 10_000, most)) == 10_000
    assert time.process_time() - started < 5  # it took minutes while it was quadratic


def test_an_initial_point_counts_as_a_point_of_the_grid() -> None:
    space = SearchSpace.of({"a": {"int": [1, 3]}, "b": {"choice": ["x", "y"]}})
    study = optuna.create_study(sampler=build_sampler("grid", SamplerContext(0, 20, space)))
    study.enqueue_trial({"a": 2, "b": "y"})
    seen = []
    while not is_exhausted(study):
        trial = study.ask()
        space.suggest(trial)
        seen.append((trial.params["a"], trial.params["b"]))
    assert seen[0] == (2, "y")
    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize("sampler", ["grid", "brute_force"])
def test_a_sweep_has_no_more_trials_than_points(sampler: str) -> None:
    space = SearchSpace.of({"a": {"int": [1, 3]}, "b": {"choice": ["x", {"int": [1, 2]}]}})
    assert most_trials(sampler, SamplerContext(0, 20, space)) == 9
    assert most_trials(sampler, SamplerContext(0, 5, space)) == 5
    assert most_trials("tpe", SamplerContext(0, 20, space)) == 20
