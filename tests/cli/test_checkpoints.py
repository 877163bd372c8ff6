"""Lookup of a checkpoint by its path, or by its sweep, trial or training."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done, assert_refused
from tests.faults.stored import store_checkpoint, store_sweep
from tuneexp.errors import UserError
from tuneexp.sweep import resuming
from tuneexp.sweep.stored_addresses import StoredCheckpoint, local_checkpoint

Cli = Callable[..., Done]
BEST, OTHER = "trial_00000_id0/checkpoint_000000", "trial_00001_id1/checkpoint_000000"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep `kept` (trial 0 completed, trial 1 interrupted), and a training with two reports."""
    runs = tmp_path_factory.mktemp("stored") / "runs"
    store_sweep(runs)
    store_checkpoint(runs / "kept" / BEST)
    store_checkpoint(runs / "train" / "ppo-x" / "checkpoint_000000000064")
    store_checkpoint(runs / "train" / "ppo-x" / "checkpoint_000000000128")
    return runs


def test_a_sweep_stands_for_the_checkpoint_of_its_best_trial(runs: Path, tuneexp: Cli) -> None:
    assert local_checkpoint("kept", runs).path == str(runs / "kept" / BEST)
    for path in ("", "/", "/experiment.yaml", "/sweep.json"):
        assert local_checkpoint(f"{runs}/kept{path}", "elsewhere").trial == 0
    done = tuneexp("evaluate", "kept", "--storage", str(runs), "--episodes", "1")
    assert (done.code, done.err) == (0, f"trial 0 of sweep kept: {runs / 'kept' / BEST}\n")


def test_a_trial_of_a_sweep_has_an_address(runs: Path) -> None:
    for named, storage in (("kept/1", str(runs)), (f"{runs}/kept/1", "elsewhere")):
        assert local_checkpoint(named, storage) == StoredCheckpoint(named, str(runs / "kept" / OTHER), "kept", 1)


def test_a_folder_of_checkpoints_stands_for_the_last_one(runs: Path) -> None:
    last = str(runs / "train" / "ppo-x" / "checkpoint_000000000128")
    for named in ("ppo-x", str(runs / "train" / "ppo-x"), last):
        assert local_checkpoint(named, str(runs)).path == last
    assert local_checkpoint(str(runs / "kept" / "trial_00000_id0"), str(runs)).path == str(runs / "kept" / BEST)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("kept/9", "the last one is kept/1"),
        ("kept/1", "holds no state.json"),  # the folder of its checkpoint was removed
        ("kep", "'kept'"),
        ("kep/1", "'kept/1'"),
        ("ppo-y", "'ppo-x'"),
        ("some/where", "is no checkpoint"),
        ("/tmp", "s3://bucket/folder"),
    ],
)
def test_what_names_no_checkpoint_is_reported(runs: Path, tuneexp: Cli, address: str, says: str) -> None:
    assert_refused(tuneexp("evaluate", address, "--storage", str(runs)), says)


def test_training_continues_from_the_best_trial_of_a_sweep(runs: Path, tuneexp: Cli) -> None:
    done = tuneexp("train", "--resume", "kept", "--storage", str(runs), "--env-steps", "64", "--json")
    assert done.code == 0, done.err
    assert "trial 0 of sweep kept" in done.err
    assert f"tuneexp resume kept --storage {runs}" in done.err
    assert json.loads(done.out)["env_steps"] == 64


def test_a_sweep_is_resumed_by_the_path_of_its_folder(
    runs: Path, tuneexp: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs / "kept")
    monkeypatch.setattr(resuming, "check_writable", refuse)
    for path in (str(runs / "kept"), ".", "experiment.yaml"):
        done = tuneexp("resume", path)
        assert re.search("accepted kept", done.err), done.err


def refuse(folder: object, config: object) -> None:
    raise UserError(f"accepted {getattr(folder, 'name', '')}")
