"""SIGKILL of a confirmation at exact and at random moments, then `tuneexp resume` of its sweep."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import Sweep, assert_checkpoints
from tuneexp.sweep import Confirmation, load_sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("mlflow_tables")]

NOTHING_BUT_A_REQUEST = "tuneexp.sweep.confirming.confirm:save_config:before:1"
SUGGESTED = "tuneexp.sweep.search.searchers:StudySearcher.suggest:after:2"
BEST_FILE = "tuneexp.sweep.confirming.closing:_write:before:2"
SEEDS = [1, 2, 3]


def test_kills_of_a_confirmation_lose_and_double_nothing(tmp_path: Path, chance: random.Random) -> None:
    sweep = Sweep(tmp_path / "runs", trials=2, concurrency=2)
    tuning = sweep.finish()
    sweep.confirm = ("--top", "2", "--seeds", "3")
    inside = Sweep(sweep.folder, trials=3, name="confirm")  # the confirmation, as a sweep
    sweep.kill_at(NOTHING_BUT_A_REQUEST, fewest=2)
    sweep.kill_at(SUGGESTED)
    process = sweep.start()
    _wait_for_reports(sweep, inside, process, chance.randrange(1, 15))
    sweep.kill(process)
    sweep.kill_at(BEST_FILE, fewest=2)  # all trained; the checklist is written, and best.yaml is not
    assert not (sweep.folder / "best.yaml").exists()
    found = sweep.finish()
    assert_the_confirmation_is_whole(sweep, inside, found, tuning)
    assert sweep.finish()["state"] == "finished"  # nothing is left to do
    assert_the_confirmation_is_whole(sweep, inside, found, tuning)


def _wait_for_reports(sweep: Sweep, inside: Sweep, process: Any, reports: int) -> None:
    import time

    deadline = time.monotonic() + 200
    while inside.progress() < reports:
        sweep.require(process.poll() is None and time.monotonic() < deadline, process, sweep.log_tail())
        time.sleep(0.03)


def assert_the_confirmation_is_whole(
    sweep: Sweep, inside: Sweep, found: dict[str, Any], tuning: dict[str, Any]
) -> None:
    result = load_sweep(inside.name, inside.storage)
    assert inside.tune_statuses() == ["TERMINATED"] * 3
    assert [trial.outcome for trial in result.trials] == ["completed"] * 3
    assert [(trial.number, trial.state.name) for trial in inside.optuna_trials()] == [(n, "COMPLETE") for n in range(3)]
    assert_checkpoints(inside, result.as_json())
    assert (sweep.folder / "best.yaml").read_text().startswith("# The best configuration after sweep s: ")
    assert [sorted(map(int, one["scores"])) for one in found["configurations"]] == [SEEDS] * 3
    whole = load_sweep(sweep.name, sweep.storage)
    assert whole.as_json() == {**tuning, "confirmations": [found]}  # the sweep is as before
    (confirmation,) = whole.confirmations
    assert isinstance(confirmation, Confirmation)
    assert confirmation.as_json() == found
    _assert_mlflow(sweep, found, tuning)


def _assert_mlflow(sweep: Sweep, found: dict[str, Any], tuning: dict[str, Any]) -> None:
    (parent,), children, client = sweep.mlflow_runs()
    assert parent.info.run_id == tuning["mlflow"]["parent_run_id"]
    kinds = [run.data.tags["tuneexp.kind"] for run in children]
    assert sorted(kinds) == ["confirmation"] + ["trial"] * 5  # two of the sweep, three of the confirmation
    (own,) = [run for run in children if run.data.tags["tuneexp.kind"] == "confirmation"]
    assert own.info.run_id == found["mlflow"]["parent_run_id"]
    assert {run.info.status for run in children} == {"FINISHED"}
    assert [one.name for one in client.search_model_versions()] == [sweep.name]  # one version of its champion
    for run in children:
        if run.data.tags["mlflow.parentRunId"] == own.info.run_id:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, "objective")]
            assert len(steps) == len(set(steps)) == 10


def test_a_kill_during_the_sweep_of_tune_is_followed_by_its_confirmation(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "runs", trials=2, concurrency=2)
    sweep.kill_after_reports(4)
    _as_of_tune(sweep)
    found = sweep.finish()
    assert [one["name"] for one in found["configurations"]][-1] == "defaults"
    assert found["state"] == found["sweep_state"] == "finished"
    assert len(found["seeds"]) == 10
    assert found["winner"]["name"].startswith("trial ")
    tuning = load_sweep(sweep.name, sweep.storage)
    assert sweep.tune_statuses() == ["TERMINATED"] * 2
    assert_checkpoints(sweep, tuning.as_json())
    (own,) = [run for run in sweep.mlflow_runs()[1] if run.data.tags["tuneexp.kind"] == "confirmation"]
    assert own.data.tags["mlflow.parentRunId"] == tuning.mlflow["parent_run_id"]


def _as_of_tune(sweep: Sweep) -> None:
    """Store the confirmation that is to follow, as `tune` does before the sweep starts."""
    from tuneexp.sweep.storage.folder import SweepFolder
    from tuneexp.sweep.sweep_config import read_config, save_config

    folder = SweepFolder(sweep.folder)
    save_config(folder, read_config(folder).model_copy(update={"confirmation_s": 600.0}))
