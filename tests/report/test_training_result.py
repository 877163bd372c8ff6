"""Readable text of a training result."""

from __future__ import annotations

import pytest

from tuneexp.report.training_result import pretty, pretty_print, progress_line

RESULT = {
    "env_steps": 20_000,
    "objective": 187.44,
    "return_per_seed": [180.25, 194.5],
    "train/return_mean": 96.2,
    "update/policy_loss": -0.012345,
    "time/env_steps_per_s": 21300.4,
    "failed_seeds": [],
    "done": False,
    "config": {"secret": "of Tune"},
    "pid": 12,
}


def test_a_result_is_printed_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    pretty_print(RESULT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["env_steps", "20,000"]
    assert "return_per_seed  [180.2, 194.5]" in lines
    assert lines[lines.index("update:") + 1].split() == ["policy_loss", "-0.01235"]


def test_what_tune_adds_for_itself_is_left_out() -> None:
    assert "secret" not in pretty(RESULT)
    assert "pid" not in pretty(RESULT)


def test_a_report_is_one_line_with_the_failed_seeds() -> None:
    line = progress_line({**RESULT, "return_mean": 187.44, "failed_seeds": [1]}, 100_000)
    assert line == "env steps 20,000/100,000 · return 187.4 · train 96.2 · 21,300 env steps/s · failed seeds 1"
