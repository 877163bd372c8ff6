"""Failing storage ends no trial: the sweep retries, then stops, and a resume continues."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest

from tests.clocks import set_clock
from tests.faults.full_disk import fill
from tests.faults.harness import Sweep as CommandLineSweep
from tuneexp.errors import StorageFault
from tuneexp.files.retries import PATIENCE
from tuneexp.sweep import SearchSpace, lifecycle, resume
from tuneexp.sweep.cluster import transfers
from tuneexp.sweep.cluster.transfers import SLOW_S, SlowTransfers
from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.schedulers.scheduler import NoOptions, Scheduler, SchedulerContext
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.suggestions import read_suggestions
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_storage import checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.snapshot_writer import SnapshotWriter
from tuneexp.sweep.sweep_config import SweepConfig, save_config


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ray_cluster", "mlflow_tables")
def test_a_sweep_whose_place_is_full_stops_unfinished_and_a_resume_completes_it(
    tmp_path: Path, small_disk: Path
) -> None:
    (small_disk / "fill").write_bytes(bytes(1_900_000))
    temporary = Path(tempfile.mkdtemp(prefix="tx-"))  # short: Ray's socket paths have a limit
    sweep = CommandLineSweep(tmp_path / "runs", trials=2, options=("--checkpoints", str(small_disk)))
    settings = {PATIENCE: "1", "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-m", "tuneexp", *sweep.command()], env={**os.environ, **settings},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert f"tuneexp resume s --storage {sweep.storage}" in done.stderr
    assert [(trial["outcome"], trial["trial_number"]) for trial in sweep.records()] == [(None, 0)]
    assert not [path.name for path in temporary.iterdir() if path.name.startswith(("tmp", "tuneexp-"))]
    shutil.rmtree(temporary)
    _, children, _ = sweep.mlflow_runs()
    assert {run.info.status for run in children} <= {"KILLED"}  # as far as it was delivered
    (small_disk / "fill").unlink()
    result = resume("s", sweep.storage)
    assert [trial.outcome for trial in result.trials] == ["completed"] * 2
    _, children, client = sweep.mlflow_runs()
    for run in children:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "objective")]
        assert (run.info.status, len(set(steps))) == ("FINISHED", len(steps))


def test_a_suggestion_that_cannot_be_logged_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "suggestions.jsonl"
    log.mkdir()
    space = SearchSpace.of({"gamma": {"uniform": [0.9, 0.99]}})
    searcher = StudySearcher(space, build_sampler("random", SamplerContext(0, 2)), "s", 100, log)
    assert searcher.suggest("a") is None
    assert searcher.suggest("b") is None  # not due
    searcher.save(str(tmp_path / "state"))
    log.rmdir()
    searcher = StudySearcher(space, build_sampler("random", SamplerContext(0, 2)), "s", 100, log)
    searcher.restore(str(tmp_path / "state"))  # what a sweep that stopped meanwhile stored
    first, second = searcher.suggest("c"), searcher.suggest("d")
    assert first is not None
    assert second is not None
    assert [first["trial_number"], second["trial_number"]] == [0, 1]
    assert [point["gamma"] for point in read_suggestions(log).values()] == [
        suggestion["hyperparameters"]["gamma"] for suggestion in (first, second)
    ]
    log.unlink()
    log.mkdir()
    monkeypatch.setenv(PATIENCE, "0")
    with pytest.raises(StorageFault, match=r"suggestions\.jsonl"):
        searcher.suggest("e")


def test_a_snapshot_that_cannot_be_written_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder(tmp_path / "runs" / "s")
    scheduler = TuneScheduler(Scheduler(NoOptions(), SchedulerContext(100)))
    writer = SnapshotWriter(folder, checkpoint_storage_of(folder, None), scheduler, Limits(), resumed=False)
    for pattern in snapshot.STATE_PATTERNS:
        (tmp_path / pattern.replace("*", "1")).write_text("state")
    writer._staging, writer._staged = tmp_path, True
    assert writer._commit() is None  # there is no folder
    folder.path.mkdir(parents=True)
    writer.on_experiment_end([])
    assert snapshot.read_records(folder) == []
    folder.snapshot_file.unlink()
    folder.snapshot_file.mkdir()
    writer._staged = True
    monkeypatch.setenv(PATIENCE, "0")
    with pytest.raises(StorageFault, match=r"snapshot\.zip"):
        writer._commit()
    assert not list(folder.path.glob(".*.tmp"))  # no half of one


def test_a_study_that_cannot_be_written_prints_how_to_continue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder(tmp_path / "s")
    folder.study_file.mkdir(parents=True)
    monkeypatch.setattr(lifecycle, "study_of", lambda folder: optuna.create_study(study_name="s"))
    monkeypatch.setenv(PATIENCE, "0")
    with pytest.raises(StorageFault, match=r"optuna\.journal.*\n.*tuneexp resume s"):
        lifecycle._write_study(folder)
    folder.study_file.rmdir()
    lifecycle._write_study(folder)
    assert folder.study_file.is_file()


def test_a_sweep_that_cannot_be_stored_prints_what_to_do_and_leaves_nothing(small_disk: Path) -> None:
    folder = SweepFolder(small_disk / "runs" / "s")
    folder.path.mkdir(parents=True)
    asked = {"name": "s", "algorithm": "ppo", "env": "E-v1", "space": {}, "trials": 1, "seeds": [0], "env_steps": 1}
    config = SweepConfig.parse({**asked, "concurrency": None, "created_at_s": 1.0}, "s")
    fill(small_disk)
    with pytest.raises(StorageFault, match=r"sweep\.json.* No space left"):
        save_config(folder, config)
    assert not list(folder.path.iterdir())


def test_a_full_disk_of_tune_s_own_files_prints_how_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/staging/trainable.pkl")

    monkeypatch.setattr(lifecycle, "run_trials", full)
    monkeypatch.setattr(lifecycle, "how_it_ended", lambda *args: None)
    given: list[Any] = [None, SweepFolder(tmp_path / "s"), None, [], None, None]
    with pytest.raises(StorageFault, match=r"/tmp/staging/trainable\.pkl\n.*tuneexp resume s"):
        lifecycle._run_trials(*given, failed=False)


def test_checkpoints_that_take_long_are_reported_at_growing_intervals(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [0.0]
    set_clock(monkeypatch, transfers, monotonic=lambda: clock[0])
    watch = SlowTransfers("s3://bucket/s")
    one, other = (
        cast(Any, SimpleNamespace(trial_id=str(n), config={"trial_number": n}, is_saving=True, is_restoring=False))
        for n in (3, 4)
    )
    times_s = (SLOW_S - 1, SLOW_S, SLOW_S + 59, SLOW_S + 60, SLOW_S + 179, SLOW_S + 180)
    watch.on_step_begin(0, [one])
    for clock[0], told in zip(times_s, (0, 1, 1, 2, 2, 3), strict=True):
        watch.on_step_begin(0, [one, other])
        assert len(caplog.messages) == told
    watch.on_step_begin(0, [])
    clock[0] += 3600
    watch.on_step_begin(0, [other])
    assert len(caplog.messages) == 3, "it has just begun"
    assert "trial 3" in caplog.text
    assert "s3://bucket/s" in caplog.text
