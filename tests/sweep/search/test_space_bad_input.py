"""Errors of a search space: one line, before any trial starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.errors import UserError
from tuneexp.sweep.search.space import SearchSpace

FINE: dict[str, Any] = {"gamma": {"uniform": [0.9, 0.99]}}


def load(tmp_path: Path, text: str) -> SearchSpace:
    (tmp_path / "space.yaml").write_text(text)
    return SearchSpace.load(tmp_path / "space.yaml")


def refusal(mapping: dict[str, Any], **fixed: Any) -> str:
    with pytest.raises(UserError) as caught:
        SearchSpace.from_mapping(mapping).validate(PPOConfig, fixed, "ppo")
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- gamma", "no mapping.*; write"),
        ("", "no mapping"),
        ("just words", "no mapping"),
        ("gamma: {uniform: [0.9, 0.99]}\ngamma: 0.9", "line 2: .*'gamma' .*repeated"),
        ("model: {shared: true, shared: false}", "line 1: .*'shared' .*repeated"),
        (
            "gamma: !!python/object/apply:os.system [touch hacked]",
            "line 1: .*python/object/apply:os.system",
        ),
        ("gamma: !!python/name:os.system ''", "tag .*plain values"),
        ("gamma: !!set {a, b}", "tag "),
        ("gamma: [0.9,", "line 1: "),
        ("gamma: &x {choice: [*x]}", "itself"),
        ("1: {uniform: [0, 1]}", "line 1: .*key"),
        ("? [gamma]\n: 1", "line 1: .*key"),
        ("gamma: \x00", "YAML"),
        ("gamma: !!int abc", "'abc'"),
        ("gamma: {uniform: [0.99, 0.9]}", r"space.yaml: gamma: .*uniform: \[0.9, 0.99\]"),
    ],
)
def test_a_file_that_is_no_space_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 1
    assert "space.yaml" in str(caught.value)
    assert not Path("hacked").exists()


def test_a_missing_file_a_folder_and_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        SearchSpace.load(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match="can't be read"):
        SearchSpace.load(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00gamma")
    with pytest.raises(UserError, match="can't be read"):
        SearchSpace.load(tmp_path / "bytes.yaml")


def test_yaml_numbers_are_what_people_mean(tmp_path: Path) -> None:
    space = load(tmp_path, "learning_rate: {loguniform: [1e-5, 1e-2]}\nn_steps: {int: [1_0, 010_0]}\nx: [on, no, 1e3]")
    assert space.to_mapping() == {
        "learning_rate": {"loguniform": [1e-5, 1e-2]},
        "n_steps": {"int": [10, 100]},
        "x": ["on", "no", 1000.0],
    }


@pytest.mark.parametrize("kind", ["uniform", "loguniform", "complement_loguniform", "int", "logint"])
def test_a_range_upside_down_is_refused_with_the_right_way_round(kind: str) -> None:
    low, high = (1, 5) if "int" in kind else (0.1, 0.5)
    message = refusal({"vf_coef": {kind: [high, low]}})
    assert message.startswith("vf_coef: the lower bound")
    assert message.endswith(f"write {kind}: [{low}, {high}]")


@pytest.mark.parametrize("arguments", [[0, 0.1], [-1.0, 0.1], [0.0, 1]])
def test_a_log_range_that_touches_0_is_refused(arguments: list[float]) -> None:
    assert "learning_rate: the bounds of a log range are above 0" in refusal(
        {"learning_rate": {"loguniform": arguments}}
    )


def test_log_ranges_of_whole_numbers_and_complements_may_not_touch_0_either() -> None:
    assert "n_steps: the bounds of a log range are above 0" in refusal({"n_steps": {"logint": [0, 8]}})
    message = refusal({"gamma": {"complement_loguniform": [0.9, 1.0]}})
    assert message.startswith("gamma: 1 - gamma is log-uniform, so the upper bound is below 1")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"uniform": 0.5}, r"\[low, high\], got 0.5"),
        ({"uniform": [0.5]}, r"\[low, high\], got \[0.5\]"),
        ({"uniform": [0.1, 0.2, 0.1]}, r"uniform .*\[low, high\]"),
        ({"uniform": ["a", 1]}, "finite .*'a'"),
        ({"uniform": [True, 2]}, "finite .*True"),
        ({"uniform": [0, float("inf")]}, "finite .*inf"),
        ({"uniform": [float("nan"), 1]}, "finite .*nan"),
        ({"uniform": [0.5, 0.5]}, "0.5; .*gamma: 0.5"),
        ({"quniform": [0.1, 0.5]}, r"\[low, high, step\]"),
        (
            {"quniform": [0.1, 0.5, 0.3]},
            r"steps of 0.3 .*quniform: \[0.1, 0.4, 0.3\]",
        ),
        ({"quniform": [0.1, 0.5, 0.0]}, "steps of 0.0"),
        ({"quniform": [0.1, 0.5, 9]}, r"quniform: \[0.1, 0.5, 0.4\]"),
        ({"int": [1.5, 3]}, "whole numbers.* 1.5"),
        ({"logint": [1, 8, 2]}, r"logint .*\[low, high\]"),
        ({"choice": []}, "empty"),
        ({"choice": "tanh"}, "list .*'tanh'"),
        ({"choice": [64, 64]}, "64 twice"),
        ({"choice": [1, True]}, "True twice"),
        ({"choice": [float("nan")]}, "plain value"),
        ({"choice": [{"choice": [1, 2]}]}, "option"),
        ({"choice": [{"uniform": [0.1, 0.2]}, {"uniform": [0.3, 0.4]}]}, "'uniform' twice"),
        ({"logunifrom": [0.1, 0.2]}, "gamma: 'logunifrom'.* 'loguniform'"),
        ({"uniform": [0.1, 0.2], "choice": [1]}, "one kind"),
        ({"uniform": [0.1, 0.2], "step": 0.1}, "one kind"),
        ({"grid_search": [0.1, 0.2]}, "grid_search"),
        ({"uniform": [0.1, 0.2], "when": True}, "when .*mapping"),
        ({"when": {"a": 1}}, "kind of range"),
    ],
)
def test_a_malformed_range_is_refused_with_its_form(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        SearchSpace.from_mapping({"gamma": entry})
    assert str(caught.value).startswith(("gamma", "unknown kind"))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"learning_rte": {"uniform": [0.1, 0.2]}},
            "'learning_rate'",
        ),
        ({"model": {"activaton": {"choice": ["tanh"]}}}, "'model/activation'"),
        ({"gamma/x": {"uniform": [0.1, 0.2]}}, "unknown hyperparameter 'gamma/x'"),
        (FINE | {"n_epoch": 3}, "'n_epochs'"),
        (
            {"gamma": {"uniform": [0.9, 0.95], "when": {"normalize_advantag": True}}},
            "'normalize_advantage'",
        ),
    ],
)
def test_an_unknown_hyperparameter_is_refused_with_the_nearest(mapping: dict[str, Any], message: str) -> None:
    refused = refusal(mapping)
    assert message in refused
    assert "tuneexp describe ppo" in refused


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"gamma": {"uniform": [0.9, 1.2]}}, "ppo: gamma: input should be less than or equal to 1, got 1.2"),
        ({"gamma": {"uniform": [0.0, 0.9]}}, "ppo: gamma: input should be greater than 0, got 0.0"),
        ({"n_epochs": {"int": [0, 4]}}, "ppo: n_epochs: input should be greater than or equal to 1, got 0"),
        ({"n_epochs": {"uniform": [1, 4]}}, "ppo: n_epochs: input should be a valid integer"),
        ({"clip_range": {"choice": [0.1, -0.2]}}, "ppo: clip_range: "),
        ({"clip_range": {"choice": [0.1, "cubic:1"]}}, "ppo: clip_range: "),
        ({"gae_lambda": {"choice": [0.9, {"uniform": [0.95, 1.5]}]}}, "ppo: gae_lambda: input should be less than"),
        ({"model": {"activation": {"choice": ["tanh", "tan"]}}}, "ppo: model/activation: "),
        ({"model": {"hidden_sizes": {"choice": [[64], ["wide"]]}}}, "ppo: model/hidden_sizes: "),
        ({"model": {"choice": [{"activation": "relu"}, {"activation": "x"}]}}, "ppo: model: "),
        (FINE | {"n_steps": [32, 64]}, "got [32, 64]; to search these write {choice: [32, 64]}"),
        (FINE | {"ent_coef": -0.1}, "ppo: ent_coef: input should be greater than or equal to 0, got -0.1"),
    ],
)
def test_a_value_outside_of_the_configs_bounds_is_found_before_any_trial(mapping: dict[str, Any], message: str) -> None:
    assert message in refusal(mapping)


def test_a_fixed_value_is_checked_as_the_spaces_are() -> None:
    assert "ppo: n_epochs: input should be greater" in refusal(FINE, n_epochs=0)
    assert "'n_epochs'" in refusal(FINE, n_epoch=3)


def test_a_name_both_fixed_and_varied_is_refused() -> None:
    assert refusal(FINE, gamma=0.9).startswith("'gamma' is fixed, and varied by the space")
    nested = {"model": {"activation": {"choice": ["tanh", "relu"]}}}
    assert "'model/activation' is fixed, and varied" in refusal(nested, model={"activation": "relu"})
    whole = {"model": {"choice": [{"activation": "relu"}, {"activation": "tanh"}]}}
    assert "'model/activation' is fixed, and 'model', varied" in refusal(whole, model={"activation": "relu"})
    SearchSpace.from_mapping(nested).validate(PPOConfig, {"model": {"shared": True}}, "ppo")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "varies nothing"),
        ({"n_epochs": 3}, "varies nothing"),
        ({"model": {"shared": {"choice": [True]}}, "model/shared": True}, "the same"),
        ({"model": {"choice": [{}]}, "model/shared": {"choice": [True]}}, "the same"),
        ({"model": {"shared": {"choice": [True]}}, "model.shared": True}, "the same"),
        ({3: {"uniform": [0, 1]}}, "key 3"),
        (
            {"gamma": {"uniform": [0.9, 0.99], "when": {"n_steps": 3}}, "n_steps": {"choice": [1, 2]}},
            "never",
        ),
        (
            {
                "gamma": {"uniform": [0.9, 0.99], "when": {"n_steps": 1}},
                "n_steps": {"choice": [1], "when": {"gamma": 0.9}},
            },
            "gamma, n_steps .*cycle",
        ),
        (FINE | {"n_epochs": object()}, "plain value"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(mapping: dict[Any, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchSpace.from_mapping(mapping)


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ([{"gamma": 0.5}], r"initial point 1: gamma=0.5 .*\{'uniform': \[0.9, 0.99\]\}"),
        ([{"gamma": 0.95}, {"gamma": 2}], "initial point 2: gamma=2 "),
        ([{"gamma": True}], "initial point 1: gamma=True "),
        ([{"gamma": 0.95, "gama": 1}], "initial point 1: 'gama' .*'gamma'"),
        ([{"n_epochs": 3}], "'n_epochs' .*--set"),
        ({"gamma": 0.95}, "initial .*list"),
        ([3], "initial .*list"),
    ],
)
def test_an_initial_point_outside_of_the_space_is_refused(initial: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchSpace.from_mapping(FINE | {"initial": initial})


def test_an_initial_point_has_a_value_for_each_branch_it_takes_and_for_no_other() -> None:
    mapping = FINE | {
        "model": {"shared": {"choice": [True, False]}},
        "vf_coef": {"uniform": [0.1, 1.0], "when": {"model/shared": True}},
    }
    missing = refusal(mapping | {"initial": [{"gamma": 0.95, "model/shared": True}]})
    assert missing.startswith("initial point 1: 'vf_coef' is missing")
    idle = refusal(mapping | {"initial": [{"gamma": 0.95, "model": {"shared": False}, "vf_coef": 0.5}]})
    assert "'vf_coef' is searched only when {'model/shared': [True]}; remove it" in idle
    steps = {"vf_coef": {"quniform": [0.1, 0.5, 0.1]}, "initial": [{"vf_coef": 0.25}]}
    assert "vf_coef=0.25 is outside" in refusal(steps)
