"""`tuneexp init`: the experiment that it writes is accepted. tests/test_installed.py runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Done, assert_refused
from tuneexp.sweep import Sweep

Cli = Callable[..., Done]


def test_the_written_experiment_is_accepted_and_trusted(tmp_path: Path, tuneexp: Cli) -> None:
    done = tuneexp("init", "new")
    assert done.code == 0, done.err
    assert "tuneexp sweep new/experiment.yaml" in done.out
    sweep = Sweep.from_file("new/experiment.yaml", storage=tmp_path / "runs")
    assert sweep.config.trial.algorithm.endswith("new/my_ppo.py:MyPPO")
    (tmp_path / "empty").mkdir()
    written = json.loads(tuneexp("init", "empty", "--json").out)
    assert sorted(written["files"]) == sorted(path.name for path in (tmp_path / "empty").iterdir())


def test_a_folder_with_files_is_left_alone(tmp_path: Path, tuneexp: Cli) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "experiment.yaml").write_text("mine")
    assert_refused(tuneexp("init", "full"), "'full' is not empty; name a new folder")
    assert [path.read_text() for path in (tmp_path / "full").iterdir()] == ["mine"]
    assert_refused(tuneexp("init", "full/experiment.yaml"), "can't be written")
    assert_refused(tuneexp("init", "/proc/none"), "can't be written")
