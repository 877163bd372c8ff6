"""Experiment files: `experiment.yaml` of a sweep says all that was asked for, and reads back exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneexp.sweep import Sweep
from tuneexp.sweep.config import ASKED, SweepConfig
from tuneexp.sweep.experiment.writing import experiment_text
from tuneexp.sweep.space.yaml import parse_yaml, yaml_text

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}

# Texts that some YAML reads as a number, a switch, a date or nothing are the likely ones to come back as another value.
TRICKY = ["1e5", "1e-3", "100k", "1_000", "010", "0x10", "12:30", "2020-01-01", "on", "no", "null", "~", "", " ", "<<"]
texts = st.sampled_from(
    [*TRICKY, "=", "-", "a: b", "# c", "x\ny", "\x1b[31m", "é☃", "'", '"', "[", "*a", "&a", "!t", "%"]
)
texts |= st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
values = st.recursive(
    texts | numbers | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def asked(tmp_path: Path, **changes: Any) -> Sweep:
    return Sweep(**{"space": SPACE, "name": "s", "storage": tmp_path / "runs", "seeds": 1, **changes})


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(texts, values, max_size=4))
def test_written_yaml_reads_back_as_the_same_values_and_types(value: dict[str, Any]) -> None:
    again = parse_yaml(yaml_text(value))
    assert repr(again) == repr(value)


def test_numbers_are_numbers_for_other_readers_of_yaml_too() -> None:
    assert yaml.safe_load(yaml_text({"rate": 1e-5, "steps": 100_000})) == {"rate": 1e-5, "steps": 100_000}


def test_an_experiment_holds_what_was_asked_and_no_defaults(tmp_path: Path) -> None:
    text = experiment_text(asked(tmp_path, seeds=[0, 1, 2], fixed={"n_epochs": 3}).config)
    written = parse_yaml(text)
    assert list(written) == [
        *(
            "algorithm",
            "env",
            "trials",
            "seeds",
            "env_steps",
            "scheduler",
            "searcher",
            "searcher_seed",
            "fixed",
            "space",
        )
    ]
    assert (written["seeds"], written["fixed"], written["space"]) == (3, {"n_epochs": 3}, SPACE)
    assert "  learning_rate: {loguniform: [0.0001, 0.01]}" in text.splitlines()
    assert "callbacks" not in text


def test_every_setting_is_asked_for_or_found_out() -> None:
    """A new field of the configuration has to be put on one side."""
    found_out = {"format_version", "name", "sources", "suggested", "created_at_s", "moved"}
    assert set(SweepConfig.model_fields) == {*ASKED} | found_out


def test_callbacks_are_named_in_a_comment(tmp_path: Path) -> None:
    text = experiment_text(asked(tmp_path).config, ["Mine"])
    assert any(line.startswith("#") and "Mine" in line for line in text.splitlines())


@pytest.mark.parametrize(("place", "written"), [("/shared/x", "/shared/x"), ("s3://bucket/x", "s3://bucket/x")])
def test_checkpoints_are_named_as_seen_from_the_file(tmp_path: Path, place: str, written: str) -> None:
    assert parse_yaml(experiment_text(asked(tmp_path, checkpoints=place).config))["checkpoints"] == written
    inside = asked(tmp_path, checkpoints=tmp_path / "runs" / "big").config
    assert parse_yaml(experiment_text(inside))["checkpoints"] == "../big"
