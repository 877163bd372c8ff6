"""Parsers of option values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuneexp.cli.option_values import (
    finite,
    parse_seeds,
    parse_settings,
    parse_value,
    parse_wrappers,
    split_settings,
)
from tuneexp.cli.settings import checked
from tuneexp.config import seconds_of, whole_number
from tuneexp.errors import UserError
from tuneexp.sweep import SearchSpace, SweepConfig
from tuneexp.trial.trial_config import TrialConfig, settings_in

ASKED_FOR: dict[str, Any] = {
    "name": "s",
    "algorithm": "ppo",
    "env": "CartPole-v1",
    "space": {},
    "trials": 1,
    "seeds": [0],
    "budget_env_steps": 1,
    "created_at_s": 0.0,
}


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("4", [0, 1, 2, 3]), ("1", [0]), ("3,5,8", [3, 5, 8]), (" 3, 5 ", [3, 5]), ("7,", [7]), ("1e0", [0])],
)
def test_a_number_counts_seeds_and_a_list_names_them(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["0", "-3", "", "a", "1.5", "3,a", "3,3", "-1,2", "1e3,2", "1e5", "20000", "4294967296,"]
)
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="seed"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.001", 0.001),
        ("1e-3", 0.001),
        ("-.5", -0.5),
        ("64", 64),
        ("true", True),
        ("null", None),
        ("relu", "relu"),
        ("linear:0.001", "linear:0.001"),
        ("[64, 64]", [64, 64]),
        ("[1e-3, a]", [0.001, "a"]),
        ("{lr: 1e-3}", {"lr": 0.001}),
        ("dict(net_arch=[64])", "dict(net_arch=[64])"),
        ("'64'", "64"),
    ],
)
def test_values_are_yaml_scalars(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["!!python/name:os.system", "!!python/object/apply:os.getcwd []", "[1, 2", "a: b: c"])
def test_a_tag_or_broken_yaml_is_refused_in_two_lines(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_value(text)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize("key", ["model/activation", "model.activation"])
def test_nested_keys_build_groups(key: str) -> None:
    settings = parse_settings([f"{key}=relu", "learning_rate=1e-3", "model/sizes=[32]"])
    assert settings == {"model": {"activation": "relu", "sizes": [32]}, "learning_rate": 0.001}


def test_only_the_first_equals_sign_separates() -> None:
    assert parse_settings(["note=a=b"]) == {"note": "a=b"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["learning_rate"], "name=value"),
        (["=3"], "name=value"),
        (["a//b=3"], "name=value"),
        (["a=1", "a=2"], "'a' twice"),
        (["a=1", "a/b=2"], "nested key"),
        (["a/b=2", "a=1"], "nested keys"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_settings(settings)


def test_json_holds_no_nan_and_no_numpy() -> None:
    value = {1: math.nan, "a": np.float32(0.5), "b": (np.int64(3), -math.inf), "path": Path("/x"), "n": None, "t": True}
    assert finite(value) == {"1": None, "a": 0.5, "b": [3, None], "path": "/x", "n": None, "t": True}


def test_wrappers_are_names_or_names_with_a_json_object() -> None:
    given = ["ClipReward", 'FrameStackObservation={"stack_size": 4}', "own/file.py:Mine={}"]
    parsed = [*given[:1], {"FrameStackObservation": {"stack_size": 4}}, {"own/file.py:Mine": {}}]
    assert parse_wrappers(given) == parsed


@pytest.mark.parametrize("text", ["ClipReward=3", "ClipReward={a: 1}", "=", "ClipReward=[1]"])
def test_arguments_of_a_wrapper_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="JSON object"):
        parse_wrappers([text])


@pytest.mark.parametrize(
    ("name", "option"),
    [("wrappers", "--wrapper"), ("device", "--device"), ("env_steps", "--env-steps"), ("env_backend", "--env-backend")],
)
def test_a_setting_with_an_option_of_its_own_is_not_set_by_name(name: str, option: str) -> None:
    with pytest.raises(UserError, match=f"{option} "):
        split_settings({name: "x"})


def test_a_wrong_choice_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'async'"):
        checked(settings_in(TrialConfig.model_fields), {"env_backend": "asynch"})


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("100_000", 100_000), ("1e5", 100_000), ("100k", 100_000), ("2.5M", 2_500_000), ("1.5e3", 1500)],
)
def test_a_count_is_written_with_an_exponent_or_a_suffix(text: str, number: int) -> None:
    assert whole_number(text) == number
    assert type(whole_number(text)) is int
    assert SweepConfig.parse({**ASKED_FOR, "budget_env_steps": text}, "a sweep").trial.budget_env_steps == number


@pytest.mark.parametrize(
    "text", ["", "k", "1.5", "1e-3.5", "1e-3", "100x", "1kk", "1 k", "0x10", "nan", "inf", "9" * 99]
)
def test_what_is_no_count_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match="whole number") as refusal:
        SweepConfig.parse({**ASKED_FOR, "trials": text}, "a sweep")
    assert "\n" not in str(refusal.value)


def test_hyperparameters_take_suffixes_wherever_they_are_written() -> None:
    config = SweepConfig.parse(
        {**ASKED_FOR, "fixed": {"n_steps": "2k", "model": {"hidden_sizes": ["1k", 64]}}}, "a sweep"
    )
    assert config.fixed == {"n_steps": 2000, "model": {"hidden_sizes": [1000, 64]}}
    trial = TrialConfig.parse({"algorithm": "ppo", "env": "x", "hyperparameters": {"n_steps": "2k"}}, "a trial")
    assert trial.hyperparameters == {"n_steps": 2000}
    space = SearchSpace.of(
        {"n_steps": {"choice": ["1k", "2k"]}, "buffer": {"logint": ["10k", "1M"]}, "batch_size": "1k"}
    )
    assert space.to_mapping() == {
        "n_steps": {"choice": [1000, 2000]},
        "buffer": {"logint": [10_000, 1_000_000]},
        "batch_size": 1000,
    }


def test_texts_that_only_look_like_counts_stay_texts_outside_of_hyperparameters() -> None:
    assert SweepConfig.parse({**ASKED_FOR, "env_kwargs": {"map": "8k"}}, "a sweep").trial.env_kwargs == {"map": "8k"}


@pytest.mark.parametrize(
    ("text", "duration_s"), [("90", 90), ("90s", 90), ("1.5m", 90), ("1h30m", 5400), ("2H", 7200), ("1d 2h", 93_600)]
)
def test_durations_have_units(text: str, duration_s: float) -> None:
    assert seconds_of(text) == duration_s


@pytest.mark.parametrize("text", ["", "two hours", "2 h", "2h3h", "-5", "1e3", "h", "nan"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="2h"):
        seconds_of(text)
