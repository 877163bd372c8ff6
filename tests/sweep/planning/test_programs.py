"""Number of compiled programs of a search space, beside those that trials build."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.small import small_trial
from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.policy_spec import PolicySpec
from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.algorithms.registry import ACTION_KINDS, ALGORITHMS, load_algorithm
from tuneexp.sweep.planning.programs import Programs, programs_of
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.trial import programs as built

SPACE = {
    "learning_rate": {"loguniform": [1e-4, 1e-2]},
    "n_steps": {"choice": [8, 32]},
    "batch_size": {"choice": [8, 16, 64]},  # at most the rows of a rollout: 64 is never suggested
    "target_kl": {"choice": [None, 0.02, 0.03]},
    "model/activation": {"choice": ["tanh", "relu"]},
}


def counted(space: Any, fixed: dict[str, Any] | None = None) -> Programs:
    return programs_of(SearchSpace.of(space).validate(PPOConfig, fixed, "ppo"), PPOConfig)


def test_the_count_is_that_of_the_programs_that_trials_build(untraced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built, "MAX_SHAPES", 100)
    keys = [name for name in SPACE if name != "learning_rate"]
    for values in product(*(SPACE[name]["choice"] for name in keys)):
        point = dict(zip(keys, values, strict=True))
        model = {"hidden_sizes": [4], "activation": point.pop("model/activation")}
        if point["batch_size"] <= point["n_steps"]:
            small_trial(n_envs=1, model=model, **point).close()
    programs = sum(map(len, built._BUILT.values()))
    found = counted(SPACE, {"n_envs": 1, "model": {"hidden_sizes": [4]}})
    assert (found.combinations, found.bound) == (programs, "exact")
    assert programs == 2 * 2 * 2  # batch_size, a KL limit or none, activation


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_function_reads_a_field_that_is_outside_of_programs(algorithm: str, untraced: None) -> None:
    spec = load_algorithm(algorithm)
    env = "Pendulum-v1" if ACTION_KINDS[algorithm] == ("continuous",) else "CartPole-v1"
    trial = small_trial(spec=spec, env=env, seeds=(0,), hyperparameters={})
    read = trial.trainer.programs.read
    trial.close()
    assert not set(read) & spec.config_class.outside_of_programs


def test_numbers_need_no_program() -> None:
    found = counted({"learning_rate": {"loguniform": [1e-4, 1e-2]}, "clip_range": {"choice": [0.1, 0.2]}})
    assert found.words() == "1, for all trials"


def test_a_branch_counts_where_it_is_active() -> None:
    activation = {"choice": ["tanh", "relu"], "when": {"normalize_advantage": [True]}}
    found = counted({"normalize_advantage": {"choice": [True, False]}, "model/activation": activation})
    assert found.combinations == 3


def test_a_range_of_fractions_has_no_count() -> None:
    found = counted({"gamma": {"uniform": [0.9, 0.99]}, "model/log_std_init": {"uniform": [-2.0, 0.0]}})
    assert found.combinations is None
    assert found.words() == "one for nearly each trial, since model/log_std_init varies continuously"


def test_too_many_combinations_are_a_bound() -> None:
    found = counted({"n_envs": {"int": [1, 100]}, "model/recurrent_size": {"int": [1, 100]}})
    assert (found.combinations, found.bound) == (10_000, "at most")


def widths(trial: Any) -> dict[str, Any]:
    return {"model": {"hidden_sizes": [trial.suggest_int("_width", 4, 5)]}}


def test_a_function_is_counted_in_random_configurations() -> None:
    assert counted(widths).words() == "at least 2 combinations of model/hidden_sizes"


def test_policies_have_their_own_programs() -> None:
    spec = MultiAgentSpec("pair", {name: PolicySpec("ppo") for name in ("a", "b")}, {"red": "a", "blue": "b"})
    of_a = {"a": {"n_epochs": {"choice": [1, 2]}, "batch_size": {"choice": [8, 16]}}}
    space = SearchSpace.of({**of_a, "b": {"model": {"activation": {"choice": ["tanh", "relu", "elu"]}}}})
    found = programs_of(space.validate(spec.config_class, {}, "pair"), spec.config_class)
    assert (found.combinations, found.names) == (6, ("a/minibatch rows", "b/model/activation"))
