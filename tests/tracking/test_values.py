"""Conversion of settings and measurements to metrics, params and tags."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tuneexp.tracking.reports import metrics_of, tags_of
from tuneexp.tracking.values import (
    changed_params,
    constant_params,
    entity_name,
    flat_params,
    important_first,
    short_names,
    varied_values,
)


def test_only_numbers_become_metrics() -> None:
    result = {
        "env_steps": 1000,
        "iteration": 4,
        "time/train_s": 2.5,
        "objective": 3,
        "update": {"entropy": np.float32(0.5), "kl": torch.tensor(0.25)},
        "seed/0/return_mean": np.int64(7),
        "return_per_seed": [1.0, 2.0],
        "failed_seeds": [3],
        "compiled": True,
        "flag": np.True_,
        "note": "text",
        "nothing": None,
        "pid": 1234,
        "time_total_s": 3.0,
        "training_iteration": 2,
        "config": {"learning_rate": 0.1},
    }
    metrics, nonfinite = metrics_of(result)
    assert metrics == {
        "env_steps": 1000.0,
        "wall_s": 2.5,
        "objective": 3.0,
        "update/entropy": 0.5,
        "update/kl": 0.25,
        "seed/0/return_mean": 7.0,
        "failed_seeds": 1.0,
    }
    assert nonfinite == []
    assert all(type(value) is float for value in metrics.values())


def test_no_metric_reports_that_no_seed_has_failed() -> None:
    assert metrics_of({"objective": 1.0, "failed_seeds": [], "partial_episodes": 0})[0] == {"objective": 1.0}
    assert metrics_of({"partial_episodes": 2})[0] == {"partial_episodes": 2.0}


def test_nan_and_infinity_are_counted_and_named_instead_of_stored() -> None:
    metrics, nonfinite = metrics_of({"objective": math.nan, "loss": math.inf, "entropy": 0.5})
    assert metrics == {"entropy": 0.5, "nonfinite_values": 2.0}
    assert tags_of({"compiled": False}, nonfinite) == {"nonfinite": "objective, loss", "compiled": "false"}


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("update/kl", "update/kl"),
        ("a//b", "a/b"),
        ("/a", "a"),
        ("../a", "a"),
        ("x[0]%", "x_0__"),
        ("", "unnamed"),
        (".", "unnamed"),
        ("n" * 300, "n" * 250),
    ],
)
def test_names_are_made_acceptable_to_mlflow(name: str, accepted: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    assert entity_name(name) == accepted
    _validate_metric_name(entity_name(name))


def test_varied_values_are_found_in_the_hyperparameters_and_absent_where_a_branch_was_not_taken() -> None:
    config = {"hyperparameters": {"optimizer": {"lr": np.float64(0.1)}, "gamma": 0.9}, "seeds": [0, 1]}
    assert varied_values(config, ["optimizer/lr", "momentum", "seeds"]) == {"optimizer/lr": 0.1, "seeds": [0, 1]}


def test_constants_are_flat_texts() -> None:
    values = {
        "env": "CartPole-v1",
        "seeds": [0, 1],
        "net": {"hidden": [64, 64], "act": "tanh"},
        "empty": {},
        "no": None,
    }
    assert flat_params(values) == {
        "env": "CartPole-v1",
        "seeds": "[0, 1]",
        "net/hidden": "[64, 64]",
        "net/act": "tanh",
        "empty": "{}",
        "no": "null",
    }
    assert set(constant_params(values)) == {"env", "seeds", "net/hidden", "net/act"}
    assert constant_params({"fixed": {"target_kl": None}}) == {"fixed/target_kl": "null"}  # asked for


def test_a_changed_param_has_the_value_of_now_and_none_if_it_is_no_longer_set() -> None:
    shown = {"trials": "8", "until": "490", "trial_timeout_s": "null", "gamma": "0.9"}  # null: of an earlier version
    now = {"trials": 16, "until": None, "trial_timeout_s": None, "time_budget_s": None, "gamma": 0.9, "new": 1}
    assert changed_params(shown, now) == {"trials": "16", "until": "none"}
    assert changed_params({**shown, "until": "none"}, {"until": None}) == {}
    assert changed_params({"trial_timeout_s": "null"}, {"trial_timeout_s": 60}) == {"trial_timeout_s": "60"}


def test_the_order_of_the_space_decides_which_hyperparameters_matter_most() -> None:
    varied = ["learning_rate", "n_steps", "gamma"]
    assert important_first(varied) == varied
    assert important_first(varied, [{"learning_rate": 0.1, "n_steps": 32, "gamma": 0.9}]) == varied


def test_a_hyperparameter_with_one_value_in_all_trials_matters_least() -> None:
    points = [{"learning_rate": 0.1, "n_steps": 32, "gamma": 0.9}, {"learning_rate": 0.1, "n_steps": 64, "gamma": 0.9}]
    assert important_first(["learning_rate", "n_steps", "gamma"], points) == ["n_steps", "learning_rate", "gamma"]


def test_a_branch_that_only_some_trials_take_differs_between_them() -> None:
    assert important_first(["gamma", "tau"], [{"gamma": 0.9}, {"gamma": 0.9, "tau": 0.1}]) == ["tau", "gamma"]


def test_a_short_name_leaves_the_group_out_where_that_is_clear() -> None:
    names = ["learning_rate", "model/activation", "actor/width", "critic/width"]
    short = ["learning_rate", "activation", "actor/width", "critic/width"]
    assert list(short_names(names).values()) == short
