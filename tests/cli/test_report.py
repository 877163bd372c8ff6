"""`tuneexp report` on stored sweeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done, assert_refused
from tests.faults.stored import store_sweep

Cli = Callable[..., Done]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    store_sweep(tmp_path / "runs")
    return tmp_path


def test_a_report_names_its_files_its_state_and_what_is_left_out(runs: Path, tuneexp: Cli) -> None:
    done = tuneexp("report", "kept")
    assert done.code == 0, done.err
    assert done.out.split() == ["report", "kept-report.html", "tables", "kept-report"]
    assert "sweep kept is interrupted" in done.err
    assert "kept: Rank stability: it needs" in done.err
    assert "not in MLflow" in done.err
    assert (runs / "kept-report.html").stat().st_size > 1e6
    assert (runs / "kept-report" / "trials.csv").is_file()
    made = json.loads(tuneexp("report", "kept", "--out", "page.html", "--json").out)
    assert (made["page"], made["tables"], made["logged"]) == ("page.html", "page", [])


def test_a_folder_that_is_missing_and_an_unknown_name_are_refused(runs: Path, tuneexp: Cli) -> None:
    assert_refused(tuneexp("report", "kept", "kep"), "'kept'")
    assert_refused(tuneexp("report", "kept", "--out", "none/x.html"), "no folder 'none'")
