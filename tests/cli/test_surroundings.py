"""Closed and full streams, a deleted working folder, foreign environment variables, and arguments of wrong types."""

from __future__ import annotations

import enum
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import ROOT, Done, assert_refused
from tests.faults.stored import SPACE, store_sweep
from tuneexp import PPO, Sweep
from tuneexp.errors import UserError
from tuneexp.files.checkpoint import read_header
from tuneexp.sweep.sweep_config import save_config

Cli = Callable[..., Done]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surroundings")
    store_sweep(folder)
    return folder


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `line` in bash; TUNEEXP stands for the command."""
    return subprocess.run(
        ["bash", "-c", line.replace("TUNEEXP", f"{sys.executable} -m tuneexp")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_works_where_its_streams_are_closed(storage: Path, closed: str) -> None:
    done = shell(f"TUNEEXP list --storage {storage} {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("kept" in done.stdout) == (closed == "2>&-")


def test_a_full_disk_behind_standard_output_is_reported_in_one_line(storage: Path) -> None:
    done = shell(f"TUNEEXP list --storage {storage} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("tuneexp: No space left on device\n")
    assert "Traceback" not in done.stderr


def test_a_figure_is_drawn_whatever_backend_a_notebook_has_set(storage: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    done = shell(f"TUNEEXP show kept --storage {storage} --plot {file}", MPLBACKEND="no-such-backend")
    assert done.returncode == 0, done.stderr
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_deleted_working_folder_is_reported_in_one_line(
    tuneexp: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert_refused(tuneexp("describe", "ppo"), "working folder")


def test_a_storage_that_is_not_there_is_reported(tuneexp: Cli) -> None:
    assert_refused(tuneexp("list", "--storage", "typo"), "no folder")


@pytest.mark.parametrize("command", [("list",), ("show", "kept"), ("train", "ppo", "CartPole-v1")])
def test_a_storage_by_uri_is_refused_and_makes_no_folder(
    tuneexp: Cli, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert_refused(tuneexp(*command, "--storage", "s3://bucket/runs"), "--checkpoints s3://")
    assert not list(tmp_path.iterdir())


class Mode(enum.Enum):
    FAST = "fast"


def sweep(root: Path, /, **changes: Any) -> Sweep:
    return Sweep(**{"env": "CartPole-v1", "space": SPACE, "name": "new", "storage": root, **changes})


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"seeds": np.int64(2)}, {"seeds": [0, 1]}),
        ({"seeds": np.array([3, 5])}, {"seeds": [3, 5]}),
        ({"seeds": (np.int32(7), 8)}, {"seeds": [7, 8]}),
        ({"fixed": {"gamma": np.float32(0.5)}}, {"fixed": {"gamma": 0.5}}),
        ({"fixed": {"model": {"hidden_sizes": np.array([8, 8])}}}, {"fixed": {"model": {"hidden_sizes": [8, 8]}}}),
        ({"env_kwargs": {"sutton_barto_reward": np.bool_(True)}}, {"env_kwargs": {"sutton_barto_reward": True}}),
        (
            {"evaluation": {"episodes": np.int64(3)}, "trials": np.int64(3)},
            {"evaluation": {"episodes": 3, "final_episodes": 20, "seed": 10_000, "max_steps": 30_000}, "trials": 3},
        ),
    ],
    ids=str,
)
def test_numbers_of_numpy_are_stored_as_numbers(tmp_path: Path, given: dict[str, Any], stored: dict[str, Any]) -> None:
    new = sweep(tmp_path, **given)
    new.folder.path.mkdir()
    save_config(new.folder, new.config)
    read = json.loads(new.folder.config_file.read_text())
    assert {name: read[name] for name in stored} == stored


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"storage": "s3://bucket/runs"}, "checkpoints"),
        ({"storage": None}, "folder"),
        ({"name": Path("x")}, "name"),
        ({"seeds": 3.0}, "seeds"),
        ({"fixed": 3}, "fixed"),
        ({"env_kwargs": [1]}, "env_kwargs"),
        ({"env_kwargs": {"mode": object()}}, "env_kwargs/mode"),
        ({"wrappers": "ClipAction"}, "wrappers"),
        ({"algorithm": 3}, "algorithm"),
    ],
    ids=str,
)
def test_arguments_of_a_wrong_kind_are_named(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        sweep(tmp_path, **given)


def test_a_checkpoint_holds_numbers_of_numpy_and_names_what_it_cannot_hold(tmp_path: Path) -> None:
    small = {"n_envs": 2, "n_steps": np.int64(32), "batch_size": 32, "compile": "off", "gamma": np.float32(0.5)}
    algo = PPO.build(env="CartPole-v1", seeds=np.arange(2), env_kwargs={"render_mode": None}, **small)
    algo.save(str(tmp_path / "one"))
    assert read_header(tmp_path / "one")["config"]["hyperparameters"]["gamma"] == 0.5
    algo.trial.config.env_kwargs["render_mode"] = object()
    with pytest.raises(UserError, match="env_kwargs/render_mode"):
        algo.save(str(tmp_path / "two"))
    algo.stop()
