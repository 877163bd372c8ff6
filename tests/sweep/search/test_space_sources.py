"""Search spaces from Tune's sample objects and from define-by-run functions."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import BaseTrial, FixedTrial
from ray import tune

from tuneexp.algorithms.dqn import DQNConfig
from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.errors import UserError
from tuneexp.sweep.search.space import InfeasiblePoint, SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)


def suggestions(space: SearchSpace, count: int = 200) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


def test_tunes_sample_objects_mean_what_they_mean_in_tune() -> None:
    space = SearchSpace.from_mapping(
        {
            "learning_rate": tune.loguniform(1e-5, 1e-2),
            "vf_coef": tune.uniform(0.1, 1.0),
            "ent_coef": tune.quniform(0.0, 0.3, 0.1),
            "n_epochs": tune.randint(1, 4),
            "n_steps": tune.lograndint(32, 36),
            "n_envs": tune.qrandint(2, 6, 2),
            "model": {"activation": tune.choice(["tanh", "relu"]), "hidden_sizes": tune.choice([(64, 64), (32,)])},
            "gamma": 0.98,
        }
    ).validate(PPOConfig, {}, "ppo")
    values = suggestions(space)
    assert {v["n_epochs"] for v in values} == {1, 2, 3}  # the upper end of randint is not included
    assert {v["n_steps"] for v in values} == {32, 33, 34, 35}
    assert {v["n_envs"] for v in values} == {2, 4, 6}  # that of qrandint is
    assert {v["ent_coef"] for v in values} == {0.0, 0.1, 0.2, 0.3}
    assert {v["gamma"] for v in values} == {0.98}
    assert {tuple(v["model"]["hidden_sizes"]) for v in values} == {(64, 64), (32,)}
    assert space.to_mapping()["learning_rate"] == {"loguniform": [1e-5, 1e-2]}
    assert SearchSpace.of(space.to_mapping()) == space


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (tune.randn(0, 1), "vf_coef: .*write uniform"),
        (tune.qrandn(0, 1, 0.1), "Normal"),
        (tune.sample_from(lambda: 1), "write uniform"),
        (tune.grid_search([1, 2]), "grid_search .*write"),
        (tune.qloguniform(0.1, 1.0, 0.1), "tune.loguniform"),
        (tune.qlograndint(1, 8, 2), "log range"),
        (tune.choice([print]), "plain value"),
        (tune.uniform(1.0, 0.1), "lower bound"),
    ],
)
def test_a_tune_object_that_no_searcher_can_honour_is_refused(domain: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchSpace.from_mapping({"vf_coef": domain})


def by_run(trial: BaseTrial) -> dict[str, Any]:
    steps = trial.suggest_categorical("n_steps", [16, 32, 64])
    trial.suggest_int("batch_size", 8, 8 * steps)
    trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
    trial.suggest_categorical("model/activation", ["tanh", "relu"])
    if trial.suggest_categorical("_bonus", [True, False]):
        trial.suggest_float("ent_coef", 1e-4, 1e-2, log=True)
    horizon = trial.suggest_float("_horizon", 10, 1000, log=True)
    return {"gamma": round(1 - 1 / horizon, 6), "n_epochs": 3, "model": {"shared": True}}


def unknown_name(trial: BaseTrial) -> None:
    trial.suggest_float("learning_rte", 0.1, 0.2)


def out_of_bounds(trial: BaseTrial) -> None:
    trial.suggest_float("gamma", 0.5, 1.000001)


def returns_a_list(trial: BaseTrial) -> Any:
    return [trial.suggest_float("gamma", 0.5, 0.9)]


def returns_what_it_suggests(trial: BaseTrial) -> dict[str, Any]:
    return {"gamma": trial.suggest_float("gamma", 0.5, 0.9)}


def raises(trial: BaseTrial) -> dict[str, Any]:
    return {"gamma": {}["missing"]}


def varies_nothing(trial: BaseTrial) -> dict[str, Any]:
    return {"gamma": 0.9}


def sometimes_invalid(trial: BaseTrial) -> dict[str, Any]:
    return {"buffer_size": 32, "batch_size": trial.suggest_int("_batch", 31, 34)}


def test_a_define_by_run_function_gives_values_branches_and_constants() -> None:
    space = SearchSpace.from_function(by_run).validate(PPOConfig, {"vf_coef": 0.4}, "ppo")
    for values in suggestions(space, 50):
        assert values["batch_size"] <= 8 * values["n_steps"]
        assert values["model"] == {"shared": True, "activation": values["model"]["activation"]}
        assert not any(name.startswith("_") for name in values)
        PPOConfig.parse(values, "ppo")
    assert sorted(space.names) == ["batch_size", "ent_coef", "gamma", "learning_rate", "model/activation", "n_steps"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unknown_name, "'learning_rte'.* 'learning_rate'"),
        (out_of_bounds, "ppo: gamma: .*got 1.000001"),
        (returns_a_list, "mapping"),
        (returns_what_it_suggests, "'gamma' .*'_gamma'"),
        (raises, "KeyError: 'missing'"),
        (varies_nothing, "varies nothing"),
    ],
)
def test_a_function_that_cannot_work_is_refused_before_any_trial(function: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchSpace.from_function(function).validate(PPOConfig, {}, "ppo")


def test_what_a_function_suggests_may_not_be_fixed() -> None:
    with pytest.raises(UserError, match="'learning_rate' is fixed"):
        SearchSpace.from_function(by_run).validate(PPOConfig, {"learning_rate": 1e-3}, "ppo")


def test_an_invalid_combination_of_a_function_is_infeasible() -> None:
    space = SearchSpace.from_function(sometimes_invalid).validate(DQNConfig, {}, "dqn")
    assert space.suggest(FixedTrial({"_batch": 32}))["batch_size"] == 32
    with pytest.raises(InfeasiblePoint, match=r"batch_size=33 .*buffer_size=32"):
        space.suggest(FixedTrial({"_batch": 33}))


def test_a_function_without_an_address_is_refused_with_what_to_write() -> None:
    def local(trial: BaseTrial) -> None:
        trial.suggest_float("gamma", 0.5, 0.9)

    for function in (local, lambda trial: None):
        with pytest.raises(UserError, match="no address"):
            SearchSpace.from_function(function)


def test_a_function_comes_back_by_its_address_in_a_new_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def space(trial):\n    trial.suggest_float('gamma', 0.9, 0.99)\n    return {'n_epochs': 2}\nnot_callable = 3\n"
    )
    address = f"{tmp_path}/mine.py:space"
    space = SearchSpace.of(address)
    assert space.to_mapping() == {"function": address}
    assert SearchSpace.of(space.to_mapping()).suggest(FixedTrial({"gamma": 0.95})) == {"gamma": 0.95, "n_epochs": 2}
    (tmp_path / "space.pkl").write_bytes(pickle.dumps(space.validate(PPOConfig, {}, "ppo")))
    program = (
        "import pickle, sys; from optuna.trial import FixedTrial; space = pickle.load(open(sys.argv[1], 'rb'));"
        "print(space.suggest(FixedTrial({'gamma': 0.95})), space.names)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "space.pkl")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{'gamma': 0.95, 'n_epochs': 2} ['gamma']"


def test_an_address_may_name_a_mapping_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text("from ray import tune\nSPACE = {'gamma': tune.uniform(0.5, 0.9)}\nthree = 3\n")
    assert SearchSpace.of(f"{tmp_path}/spaces.py:SPACE").to_mapping() == {"gamma": {"uniform": [0.5, 0.9]}}
    (tmp_path / "broken.py").write_text("1 / 0")
    for address, message in {
        f"{tmp_path}/spaces.py:SPACES": "'SPACES'.*spaces.py:SPACE",
        f"{tmp_path}/spaces.py:three": "no search space",
        f"{tmp_path}/missing.py:SPACE": "no file",
        f"{tmp_path}/broken.py:SPACE": "ZeroDivisionError",
        "no_such_module_here:SPACE": "no_such_module_here",
    }.items():
        with pytest.raises(UserError, match=message):
            SearchSpace.of(address)
