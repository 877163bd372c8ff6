from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuneexp.cli.parsing import (
    environment_settings,
    finite,
    parse_seeds,
    parse_settings,
    parse_value,
    parse_wrappers,
    split_settings,
)
from tuneexp.errors import UserError


@pytest.mark.parametrize(
    ("text", "seeds"), [("4", [0, 1, 2, 3]), ("1", [0]), ("3,5,8", [3, 5, 8]), (" 3, 5 ", [3, 5]), ("7,", [7])]
)
def test_a_number_counts_seeds_and_a_list_names_them(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "-3", "", "a", "1.5", "3,a", "3,3", "-1,2", "1e3", "20000", "4294967296,"])
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
        (["a/b=2", "a=1"], "twice"),
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
    assert environment_settings("sync", given) == {"env_backend": "sync", "wrappers": parsed}
    assert environment_settings(None, None) == {}


@pytest.mark.parametrize("text", ["ClipReward=3", "ClipReward={a: 1}", "=", "ClipReward=[1]"])
def test_arguments_of_a_wrapper_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="arguments are a JSON object"):
        parse_wrappers([text])


def test_a_wrong_backend_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'async'"):
        environment_settings("asynch", None)
    with pytest.raises(UserError, match="write --wrapper instead"):
        split_settings({"wrappers": ["ClipReward"]})
