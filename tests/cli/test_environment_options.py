"""The printed command that trains the best configuration again has all settings of the sweep."""

from __future__ import annotations

from pathlib import Path

from tuneexp.cli.option_values import parse_wrappers
from tuneexp.cli.retrain import _other_settings
from tuneexp.sweep import Sweep


def test_settings_that_are_not_the_defaults_are_printed_as_options(tmp_path: Path) -> None:
    wrappers = ["FlattenObservation", {"FrameStackObservation": {"stack_size": 2, "padding_type": "zero"}}]
    space = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
    evaluation = {"episodes": 3, "final_episodes": 20}
    sweep = Sweep(
        space=space, name="s", storage=tmp_path, env_backend="sync", wrappers=wrappers, evaluation=evaluation,
        device="auto", report_every_env_steps=500,
    )  # fmt: skip
    groups, words = _other_settings(sweep.config.trial)
    options = list(zip(words[::2], words[1::2], strict=True))
    assert groups == {"evaluation": {"episodes": 3}}
    assert options[:3] == [("--env-backend", "sync"), ("--report-every-env-steps", 500), ("--device", "auto")]
    assert [name for name, _ in options[3:]] == ["--wrapper"] * 2
    assert parse_wrappers(value for _, value in options[3:]) == wrappers
