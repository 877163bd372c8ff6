"""Delivery from the callback to a real SQLite store, also after kills."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.full_disk import fill
from tests.tracking.helpers import (
    Store,
    kill_delivery,
    make_callback,
    make_result,
    make_trial,
    report,
    run_trial,
    wait_until_delivered,
)
from tuneexp.tracking import delivery_process
from tuneexp.tracking.delivery import Delivery
from tuneexp.tracking.delivery_process import (
    Undelivered,
    drain_now,
    mlflow_ids,
    start_delivery,
    undelivered,
)
from tuneexp.tracking.outbox import Outbox, append, load_position, save_position
from tuneexp.tracking.outbox_records import TRIAL_STARTED

PATIENCE_S = 60.0


def finish(callback: Any, best: int | None = None, checkpoint: Path | None = None) -> None:
    rows = [{"trial": 1, "objective": 10.0, "lr": 0.1}, {"trial": 2, "objective": math.nan, "lr": [1, 2]}]
    assert callback.finish(rows, best, str(checkpoint) if checkpoint else None, PATIENCE_S) is None


def test_a_sweep_is_a_parent_with_one_child_per_trial(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path, seeds=[0, 1])
    callback.start()
    run_trial(callback, 1, 500, 1000)
    run_trial(callback, 2, 500, learning_rate=0.1)
    failed = make_trial(3, learning_rate=0.5)
    callback.on_trial_start(0, [], failed)
    report(callback, failed, 500)
    failed.status, failed.error = "ERROR", "Failure # 1 (occurred)\nEnvironmentFault: it returned NaN"
    callback.on_trial_error(0, [], failed)
    finish(callback)

    (parent,) = store.parents()
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "first"
    assert parent.data.params == {"gamma": "0.99", "budget_env_steps": "1000", "seeds": "[0, 1]"}
    assert parent.data.tags["algorithm"] == "ppo"
    assert parent.data.metrics == {"trials/completed": 1, "trials/pruned": 1, "trials/error": 1}
    assert store.client.get_experiment(parent.info.experiment_id).name == "CartPole-v1"

    trials = store.trials()
    assert set(trials) == {1, 2, 3}
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in trials.values())
    assert [run.data.params for _, run in sorted(trials.items())] == [
        {"learning_rate": "0.001"}, {"learning_rate": "0.1"}, {"learning_rate": "0.5"},
    ]  # fmt: skip
    ends = {number: (run.data.tags["outcome"], run.info.status) for number, run in trials.items()}
    assert ends == {1: ("completed", "FINISHED"), 2: ("pruned", "FINISHED"), 3: ("error", "FAILED")}
    assert trials[3].data.tags["reason"] == "EnvironmentFault: it returned NaN"
    assert store.steps(trials[1]) == [500, 1000]
    assert trials[1].data.metrics["seed/1/return_mean"] == 11.0
    assert trials[1].data.metrics["wall_s"] == 1.0
    assert trials[1].data.metrics["env_steps"] == 1000.0
    assert trials[1].data.tags["compiled"] == "true"

    ids = callback.ids()
    assert (ids.experiment_id, ids.parent_run_id) == (parent.info.experiment_id, parent.info.run_id)
    assert ids.run_ids == {number: run.info.run_id for number, run in trials.items()}
    assert ids.tracking_uri == store.uri


def test_the_summary_table_and_the_best_checkpoint_are_on_the_parent(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoint_000001"
    checkpoint.mkdir()
    (checkpoint / "state.safetensors").write_bytes(b"weights")
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 500, 1000)
    callback.on_checkpoint(0, [], trial, type("Checkpoint", (), {"path": str(checkpoint)}))
    callback.on_trial_complete(0, [], trial)
    finish(callback, 1, checkpoint)

    (parent,) = store.parents()
    run = store.trials()[1]
    assert run.data.tags["checkpoint"] == str(checkpoint)
    assert parent.data.tags["best.run_id"] == run.info.run_id
    assert parent.data.metrics["best_objective"] == 10.0
    folder = Path(store.client.download_artifacts(parent.info.run_id, ""))
    assert (folder / "trials.csv").read_text().splitlines() == ["trial,objective,lr", "1,10.0,0.1", '2,nan,"[1, 2]"']
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)  # `load_table` searches there, not where its client looks
    table = store.client.load_table(parent.info.experiment_id, "trials.json", run_ids=[parent.info.run_id])
    assert table["trial"].tolist() == [1, 2]

    (model,) = store.client.search_logged_models([parent.info.experiment_id])
    assert model.source_run_id == run.info.run_id
    assert str(model.status) == "READY"
    assert {metric.key: metric.value for metric in model.metrics}["objective"] == 10.0
    files = Path(model.artifact_location.removeprefix("file://"))
    assert (files / "state.safetensors").read_bytes() == b"weights"
    assert files.is_relative_to(tmp_path / "mlartifacts")
    (output,) = store.client.get_run(run.info.run_id).outputs.model_outputs
    assert (output.model_id, output.step) == (model.model_id, 1000)
    assert store.steps(run) == [500, 1000]  # the model's metrics are the run's, not a second copy


def test_reports_at_a_step_already_logged_are_dropped(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 250, 500, 250, 500, 750)
    callback.on_trial_complete(0, [], trial)
    finish(callback)
    assert store.steps(store.trials()[1]) == [250, 500, 750]


def test_nan_and_infinity_are_not_stored_but_reported(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 500, **{"update/loss": math.inf, "update/kl": math.nan})
    callback.on_trial_complete(0, [], trial)
    finish(callback)
    run = store.trials()[1]
    assert not {"update/loss", "update/kl"} & set(run.data.metrics)
    assert run.data.metrics["nonfinite_values"] == 2
    assert (
        run.data.tags["nonfinite"] == "update/kl, update/loss" or run.data.tags["nonfinite"] == "update/loss, update/kl"
    )


def test_delivering_everything_a_second_time_changes_nothing(tmp_path: Path, store: Store) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "state").write_bytes(b"x")
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    run_trial(callback, 2, 500)
    finish(callback, 1, checkpoint)
    before = snapshot(store)
    # As if the process had been killed before it noted any of it.
    (tmp_path / "first" / "outbox" / "delivered.json").unlink()
    assert drain_now(tmp_path / "first", PATIENCE_S) is None
    assert snapshot(store) == before
    (parent,) = store.parents()
    assert len(store.client.search_logged_models([parent.info.experiment_id])) == 1


def snapshot(store: Store) -> dict[str, Any]:
    """Content of a store that two deliveries of one sweep must have in common; without timestamps of the clock."""
    client = store.client
    return {
        run.info.run_id: (
            run.info.status, run.info.end_time, dict(run.data.params), dict(run.data.tags),
            {name: [(point.step, point.value, point.timestamp)
                    for point in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics},
        ) for run in store.runs()
    }  # fmt: skip


def test_a_run_that_was_made_but_never_noted_is_found_again(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500)
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    noted = load_position(tmp_path / "first")
    trial = make_trial(2)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 500)
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    kill_delivery(tmp_path / "first")
    # What is on the disk of a kill after `create_run` had its answer and before the position was written.
    save_position(tmp_path / "first", noted)
    report(callback, trial, 1000)
    callback.on_trial_complete(0, [], trial)
    finish(callback)
    assert set(store.trials()) == {1, 2}
    assert store.steps(store.trials()[2]) == [500, 1000]
    assert len(store.parents()) == 1


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_sigkill_of_the_delivering_process_at_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, store: Store, chance: random.Random
) -> None:
    callback = make_callback(tmp_path)
    folder = tmp_path / "first"
    trials = {number: make_trial(number) for number in range(1, 31)}
    for number, trial in trials.items():
        callback.on_trial_start(0, [], trial)
        report(callback, trial, *range(100, 1001, 100))
        trial.last_result["done"] = True
        callback.on_trial_complete(0, [], trial)
        if number == 1:  # tables and the import are there: from now on kills strike the delivery itself
            assert wait_until_delivered(folder, PATIENCE_S)
    positions = set()
    for round_number in range(4):
        kill_delivery(folder)
        positions.add(load_position(folder).offset)
        rewind(folder, 40)  # small portions, so that the kill falls between calls and not before the first
        start_delivery(folder)
        wait_for_log(store, at_least=1 + round_number)
        time.sleep(chance.uniform(0.0, 0.06))
    finish(callback, 7)
    runs = store.trials()
    assert set(runs) == set(trials)
    assert all(store.steps(run) == list(range(100, 1001, 100)) for run in runs.values())
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert len(store.parents()) == 1


def rewind(folder: Path, records: int) -> None:
    """Set the position back by up to `records`, as if its latest write had been lost."""
    position = load_position(folder)
    outbox = Outbox(folder)
    entries, _ = outbox.read()
    delivered = len(entries) - len(outbox.read(position.offset)[0])
    _, position.offset = outbox.read(limit=max(2, delivered - records))
    save_position(folder, position)


def wait_for_log(store: Store, at_least: int) -> None:
    """Wait until the store has that many runs, so that the next kill hits the middle of the delivery."""
    import sqlite3

    deadline = time.monotonic() + PATIENCE_S
    path = store.uri.removeprefix("sqlite:///")
    while time.monotonic() < deadline:
        with sqlite3.connect(path, timeout=20) as database:
            if database.execute("select count(*) from runs").fetchone()[0] >= at_least:
                return
        time.sleep(0.005)
    raise AssertionError("nothing arrived")


def test_the_delivering_process_ends_with_its_driver(tmp_path: Path, store: Store) -> None:
    script = f"""
import os, time
from pathlib import Path
from tuneexp.tracking import delivery_process
delivery_process.start_delivery({str(tmp_path / "first")!r})
(process,) = delivery_process._running.values()
print(process.pid, flush=True)
time.sleep(60)
"""
    driver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    delivering = int(driver.stdout.readline())
    assert alive(delivering)
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 10
    while alive(delivering) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(delivering)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_one_process_delivers_at_a_time(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    first = delivery_process._running.pop((tmp_path / "first").resolve())
    start_delivery(tmp_path / "first")
    try:
        run_trial(callback, 2, 500, 1000)
        assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    finally:
        first.kill()
        first.wait()
    finish(callback)  # by the second, which had to wait for the first
    assert {number: store.steps(run) for number, run in store.trials().items()} == {1: [500, 1000], 2: [500, 1000]}


def test_what_mlflow_refuses_is_put_aside_and_reported_and_the_rest_arrives(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    changed = {"trial": 1, "draw": 0, "sweep": "first", "params": {"learning_rate": 9.0}}
    callback._write(TRIAL_STARTED, **changed, again=True)  # MLflow's params can't change
    run_trial(callback, 2, 500, 1000)
    left = callback.finish([], 1, None, PATIENCE_S)
    assert left is not None
    assert (left.records, left.refused) == (0, 1)
    assert "refused.jsonl" in str(left)
    (line,) = (tmp_path / "first" / "outbox" / "refused.jsonl").read_text().splitlines()
    assert "learning_rate" in json.loads(line)["reason"]
    assert store.steps(store.trials()[2]) == [500, 1000]


@pytest.mark.slow
def test_a_constant_that_a_resume_changes_becomes_a_tag(tmp_path: Path, store: Store) -> None:
    first = make_callback(tmp_path, trials=8, until=490, trial_timeout_s=None)
    run_trial(first, 1, 1000)
    finish(first)
    second = make_callback(tmp_path, trials=16, new="x", until=None)
    run_trial(second, 2, 1000)
    finish(second)
    (parent,) = store.parents()
    assert (parent.data.params["trials"], parent.data.tags["now.trials"]) == ("8", "16")
    assert (parent.data.params["until"], parent.data.tags["now.until"]) == ("490", "none")
    assert "trial_timeout_s" not in parent.data.params
    assert parent.data.params["new"] == "x"
    assert parent.info.status == "FINISHED"
    history = store.client.get_metric_history(parent.info.run_id, "trials/completed")
    assert [(point.step, point.value) for point in history] == [(1, 1), (2, 2)]


def test_an_interrupted_sweep_leaves_nothing_running_and_a_resume_reopens_it(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 500)
    assert callback.interrupt(PATIENCE_S) is None
    assert {run.info.status for run in store.runs()} == {"KILLED"}
    resumed = make_callback(tmp_path)
    resumed.on_step_begin(0, [trial])
    resumed.on_trial_start(0, [trial], trial)
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    assert {run.info.status for run in store.runs()} == {"RUNNING"}
    report(resumed, trial, 500, 1000)
    resumed.on_trial_complete(0, [trial], trial)
    finish(resumed)
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert store.steps(store.trials()[1]) == [500, 1000]


@pytest.mark.slow
def test_two_sweeps_of_one_name_in_two_storages_share_a_store_and_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"sqlite:///{tmp_path}/shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    for storage in ("one", "two"):
        callback = make_callback(tmp_path / storage)
        run_trial(callback, 1, 500)
        finish(callback)
    assert len(store.parents()) == 2
    children = [run for run in store.runs() if "mlflow.parentRunId" in run.data.tags]
    assert len({run.data.tags["mlflow.parentRunId"] for run in children}) == 2
    ids = mlflow_ids(tmp_path / "one" / "first")
    assert store.client.get_run(ids.run_ids[1]).data.tags["mlflow.parentRunId"] == ids.parent_run_id
    assert undelivered(tmp_path / "one" / "first") is None


@pytest.mark.slow
def test_an_experiment_that_a_person_deleted_stays_deleted(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500)
    finish(callback)
    store.client.delete_experiment(callback.ids().experiment_id)
    other = make_callback(tmp_path, name="second")
    run_trial(other, 1, 500)
    finish(other)
    assert store.client.get_experiment(other.ids().experiment_id).name == "CartPole-v1 (2)"


def test_more_values_than_one_call_may_carry_arrive(tmp_path: Path, store: Store) -> None:
    constants = {f"constant_{number}": number for number in range(230)}
    callback = make_callback(tmp_path, long="x" * 10_000, **constants)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    many = {f"update/m{number}": float(number) for number in range(700)}
    for steps in (200, 400, 600):
        callback.on_trial_result(0, [], trial, make_result(steps, **many))
    finish(callback)
    (parent,) = store.parents()
    assert len(parent.data.params) == 233
    run = store.trials()[1]
    assert store.steps(run, "update/m699") == [200, 400, 600]


def test_a_full_disk_delays_the_delivery_and_ends_nothing(
    tmp_path: Path, small_disk: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr("tuneexp.tracking.callback.start_delivery", lambda folder: None)  # here, step by step
    callback, folder = make_callback(small_disk), small_disk / "first"
    run_trial(callback, 1, 500, 1000)
    changed = {"trial": 1, "draw": 0, "sweep": "first", "params": {"learning_rate": 9.0}}
    callback._write(TRIAL_STARTED, **changed, again=True)  # refused
    filling = fill(small_disk)
    delivery = Delivery(folder, lambda kind, text: None)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left") as error:
            delivery.round()
        assert "No space left" in delivery.failed(error.value)
    assert os.listdir(folder / "outbox") == ["records.jsonl"]  # no half of anything
    filling.unlink()
    assert delivery.round()
    assert store.steps(store.trials()[1]) == [500, 1000]
    assert load_position(folder).refused == len((folder / "outbox" / "refused.jsonl").read_text().splitlines()) == 1


def test_what_is_appended_to_a_full_disk_is_taken_back(small_disk: Path) -> None:
    path = small_disk / "refused.jsonl"
    append(path, b"one\n")
    fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        append(path, b"x" * 10000)  # the first page has room
    assert path.read_bytes() == b"one\n"


def test_a_delivery_that_cannot_be_started_is_reported_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "first" / "outbox" / "delivery.log").mkdir(parents=True)
    Outbox(tmp_path / "first").append({"kind": "x"})
    start_delivery(tmp_path / "first")
    assert "can't be started" in caplog.text
    assert drain_now(tmp_path / "first", PATIENCE_S) is not None


def test_what_is_left_is_counted_in_words() -> None:
    for count, words in ((1, "1 report has"), (2, "2 reports have")):
        lines = str(Undelivered("s", "runs", count, 0, "no server")).splitlines()
        assert lines[0].startswith(words)
        assert lines[1].endswith("tuneexp resume s --storage runs")
