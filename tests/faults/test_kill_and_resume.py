"""SIGKILL of the driver and all workers of a real sweep, then `tuneexp resume` and a check of every store."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import BUDGET, Sweep, assert_logs, assert_whole
from tuneexp.sweep import load_sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("mlflow_tables")]

SUGGESTED = "tuneexp.sweep.search.searchers:StudySearcher.suggest:after:{}"
TOLD = "tuneexp.sweep.search.searchers:StudySearcher.on_trial_complete:after:{}"
SNAPSHOT_HALF_WRITTEN = "tuneexp.files.atomic:replace:before:{}"
CHECKPOINT_RENAME = "tuneexp.files.checkpoint:_put_in_place:{}:{}"
BEHIND = "tuneexp.trial.cohorts.cohort_trial:CohortTrial._catch_up:{}:{}"
MLFLOW_RUN = "mlflow.tracking.client:MlflowClient.create_run:{}:{}"
PUTTING_BACK = "tuneexp.sweep.storage.checkpoint_storage:write_atomically:after:{}"
EXTENSION_HALF_STORED = "tuneexp.sweep.extending:write_experiment:before:1"
RESTORING = "ray.tune.execution.tune_controller:TuneController.resume:after:1"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Results of an uninterrupted sweep of four trials, one at a time."""
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed") / "runs")
    result = sweep.finish()
    assert_whole(sweep, result)
    return result


def findings(result: dict[str, Any]) -> list[Any]:
    return [[trial[key] for key in ("config", "objective", "env_steps", "outcome")] for trial in result["trials"]]


def test_kills_around_suggestions_tells_and_mlflow_runs_change_nothing(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    # More trials than there are kills: on a busy machine MLflow's own start takes as long as some of them.
    sweep = Sweep(tmp_path / "runs", trials=8)
    # By the delivering process, which may be sooner than Ray: the first trial's run exists, its id is nowhere noted.
    sweep.kill_at(MLFLOW_RUN.format("after", 2), fewest=2)
    sweep.kill_at(SUGGESTED.format(1))  # suggested, and no snapshot knows it
    sweep.kill_at(TOLD.format(1))  # told to Optuna, and no snapshot knows it
    sweep.kill_at(MLFLOW_RUN.format("before", 1), fewest=2)
    result = sweep.finish()
    assert_whole(sweep, result)
    assert findings(result)[:4] == findings(undisturbed)


def test_kills_during_an_extension_lose_and_double_nothing(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "runs", trials=1)
    first = sweep.finish()
    sweep.added = 2
    sweep.kill_at(
        EXTENSION_HALF_STORED, fewest=2
    )  # sweep.json has three trials, and the mark of the end is still there
    sweep.kill_at(SUGGESTED.format(1))  # by a resume: the first new trial is suggested, and no snapshot has it
    result = sweep.finish()
    assert_whole(sweep, result)
    assert findings(result)[:1] == findings(first)
    (parent,), _, _ = sweep.mlflow_runs()
    assert (parent.data.params["trials"], parent.data.tags["now.trials"]) == ("1", "3")
    assert parent.data.tags["ended_by"] == result["ended_by"] == "trials"


def test_kills_around_checkpoints_snapshots_and_during_a_resume_change_nothing(
    tmp_path: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    sweep = Sweep(tmp_path / "runs", options=("--tensorboard",))
    sweep.kill_at(SUGGESTED.format(1))  # before the first snapshot: the sweep starts over
    sweep.kill_at(CHECKPOINT_RENAME.format("before", 13))  # in the worker, in the middle of the second trial
    sweep.kill_at(CHECKPOINT_RENAME.format("after", 4))
    monkeypatch.setenv("TZ", "UTC")  # nine hours earlier: Tune names its files by local time
    sweep.kill_at(PUTTING_BACK.format(2), fewest=1)  # before Ray starts: two of Tune's four files are back in place
    sweep.kill_at(RESTORING)
    sweep.kill_at(SNAPSHOT_HALF_WRITTEN.format(7))  # after the four of `PUTTING_BACK`
    (sweep.folder / "snapshot.zip").write_bytes(b"")  # as a power cut may leave it
    result = sweep.finish()
    assert "continuing from its second copy" in sweep.log()
    assert_whole(sweep, result)
    assert findings(result) == findings(undisturbed)
    assert sweep.finish() == result  # resuming what is finished changes nothing
    assert_logs(sweep, result)


def test_kills_at_any_moment_of_a_parallel_asha_sweep_with_two_objectives(
    tmp_path: Path, chance: random.Random
) -> None:
    asked = ("--objective", "return_mean", "--objective", "env_steps_to/20", "--constraint", "wall_s<=1000")
    sweep = Sweep(tmp_path / "runs", trials=6, seeds=2, scheduler="asha", concurrency=2, options=asked, forked=False)
    sweep.kill_after_reports(3, chance.random() / 2)
    sweep.kill_after_reports(6, chance.random() / 2)
    result = sweep.finish()
    assert_whole(sweep, result)
    assert result["best"] is None
    completed = [trial["trial_number"] for trial in result["trials"] if trial["outcome"] == "completed"]
    assert {*result["front"]} <= {*completed}
    assert result["front"]
    for trial in sweep.optuna_trials():
        assert -1 < trial.constraints["wall_s<=1000"] < 0


def test_kills_while_trials_are_paused_lose_and_double_nothing(tmp_path: Path, chance: random.Random) -> None:
    asked = ("promote=true", "reduction_factor=2", "grace_env_steps=300")
    options = tuple(word for option in asked for word in ("--scheduler-option", option))
    sweep = Sweep(tmp_path / "runs", trials=8, scheduler="asha", concurrency=2, options=options)
    sweep.kill_after_reports(8, chance.random() / 4)  # two trials at their rung
    sweep.kill_after_reports(8, chance.random() / 4)
    result = sweep.finish()
    assert_whole(sweep, result)
    assert {trial["outcome"] for trial in result["trials"]} == {"completed", "pruned"}


def test_kills_while_new_seeds_catch_up_change_nothing(tmp_path: Path) -> None:
    """Seeds of a trial join at its rungs of 300 and 600 steps, and train from step 0 to there."""
    asked = ("seeds/start=1", "reduction_factor=2", "grace_env_steps=300")
    options = tuple(word for option in asked for word in ("--scheduler-option", option))
    sweeps = [Sweep(tmp_path / name / "runs", trials=3, seeds=4, scheduler="asha", options=options) for name in "ab"]
    for sweep in sweeps:
        sweep.storage.parent.mkdir()
    undisturbed, killed = sweeps
    expected = undisturbed.finish()
    # In the worker: after a checkpoint of seeds that are behind, and after a report without its checkpoint.
    killed.kill_at(BEHIND.format("before", 2))
    killed.kill_at(BEHIND.format("after", 1))
    result = killed.finish()
    for sweep, found in ((undisturbed, expected), (killed, result)):
        assert_whole(sweep, found)
    spent = [[trial["env_steps_spent"] for trial in found["trials"]] for found in (expected, result)]
    assert spent[0] == spent[1]
    assert max(spent[0]) >= 4 * BUDGET  # all seeds of the completed trial
    assert findings(result) == findings(expected)


def test_an_interrupt_saves_the_state_and_prints_how_to_continue(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    sweep = Sweep(tmp_path / "runs", one_command=True)
    statuses: set[str] = set()
    while "interrupted" not in statuses:  # else the signal came between two trials
        said = sweep.interrupt_after_reports(11)  # a trial reports ten times
        assert f"tuneexp resume s --storage {sweep.storage}" in said
        assert "Traceback" not in said
        statuses = {trial.status for trial in load_sweep(sweep.name, sweep.storage).trials}
    assert statuses == {"ended", "interrupted"}
    said = sweep.interrupt_after_reports(3, signal.SIGHUP)
    assert f"tuneexp resume s --storage {sweep.storage}" in said
    _, children, _ = sweep.mlflow_runs()
    running = [run for run in children if run.info.status == "RUNNING"]
    assert not running or "not reached MLflow yet" in said  # a person is kept waiting for 5 s at most
    result = sweep.finish()
    assert_whole(sweep, result)
    assert findings(result) == findings(undisturbed)


MY_ALGORITHM = """
from dataclasses import replace
from tuneexp import PPO

def my_loss(nets, batch, cfg):
    loss, statistics = PPO.loss_fn(nets, batch, cfg)
    return -loss, statistics  # for the worse

Mine = replace(PPO, name="mine", loss_fn=my_loss)
"""


def test_an_algorithm_of_a_persons_own_file_with_checkpoints_under_a_uri_survives_a_kill(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    """Tune restores its state from the URI; the files of the sweep itself stay in its folder."""
    file = tmp_path / "mine.py"
    file.write_text(MY_ALGORITHM)
    sweep = Sweep(tmp_path / "runs", trials=2, algorithm=f"{file}:Mine", checkpoints=tmp_path / "far")
    sweep.kill_after_reports(5)
    result = sweep.finish()
    assert_whole(sweep, result)
    assert result["trials"][0]["config"] == undisturbed["trials"][0]["config"]
    scores = [[trial["objective"] for trial in found["trials"][:2]] for found in (result, undisturbed)]
    assert scores[0] != scores[1]
    _, children, _ = sweep.mlflow_runs()
    assert {run.data.tags["checkpoint"] for run in children} == {trial["checkpoint"] for trial in result["trials"]}
    # The checkpoint finds the file again from another process in another folder.
    command = [sys.executable, "-m", "tuneexp", "evaluate", result["best"]["checkpoint"], "--episodes", "2", "--json"]
    output = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout
    assert json.loads(output)["episodes"] == 2
