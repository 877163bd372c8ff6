"""Lookup of a checkpoint by its path, or by its sweep, trial or training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done, assert_refused
from tests.faults.stored import store_checkpoint, store_sweep
from tuneexp.cli.checkpoints import checkpoint_to_resume, find_checkpoint
from tuneexp.errors import UserError
from tuneexp.sweep import resuming

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
    assert find_checkpoint("kept", str(runs)).path == str(runs / "kept" / BEST)
    assert find_checkpoint("kept", str(runs), trial=1).path == str(runs / "kept" / OTHER)
    for path in ("", "/", "/experiment.yaml", "/sweep.json"):
        assert find_checkpoint(f"{runs}/kept{path}", "elsewhere").trial == 0
    done = tuneexp("evaluate", "kept", "--storage", str(runs), "--episodes", "1")
    assert (done.code, done.err) == (0, f"trial 0 of sweep kept: {runs / 'kept' / BEST}\n")


def test_a_folder_of_checkpoints_stands_for_the_last_one(runs: Path) -> None:
    last = str(runs / "train" / "ppo-x" / "checkpoint_000000000128")
    for named in ("ppo-x", str(runs / "train" / "ppo-x"), last):
        assert find_checkpoint(named, str(runs)).path == last
        assert checkpoint_to_resume(Path(named), str(runs)) == Path(last)
    assert find_checkpoint(str(runs / "kept" / "trial_00000_id0"), str(runs)).path == str(runs / "kept" / BEST)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("kept", "--trial", "9"), "no trial 9"),
        (("ke", "--trial", "0"), "--trial goes with the name of a sweep"),
        (("kep",), "'kept'"),
        (("ppo-y",), "'ppo-x'"),
        (("some/where",), "is no checkpoint"),
        (("s3://bucket/x", "--trial", "0"), "--trial goes with"),
    ],
)
def test_what_names_no_checkpoint_is_reported(runs: Path, tuneexp: Cli, args: tuple[str, ...], says: str) -> None:
    assert_refused(tuneexp("evaluate", *args, "--storage", str(runs)), says)


def test_training_continues_from_a_sweep_by_naming_which_of_both_is_meant(runs: Path, tuneexp: Cli) -> None:
    done = tuneexp("train", "--resume", str(runs / "kept"))
    assert_refused(done, f"tuneexp resume kept --storage {runs}")
    assert f"tuneexp train --resume {runs / 'kept' / BEST} --env-steps" in done.err


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
