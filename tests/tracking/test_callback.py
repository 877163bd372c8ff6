"""Records that the callback writes, and its recovery after a kill: Tune's snapshot decides."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.tracking.helpers import (
    FakeTrial,
    Store,
    kill_delivery,
    make_callback,
    make_result,
    make_trial,
    report,
    run_trial,
    wait_until_delivered,
)
from tuneexp import tracebacks as faults
from tuneexp.tracking import callback as callback_module
from tuneexp.tracking.outbox import Outbox
from tuneexp.tracking.outbox_records import SweepLog, current_reports, reconcile

PATIENCE_S = 60.0


@pytest.fixture
def no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no delivering process: these tests check the records only."""
    monkeypatch.setattr(callback_module, "start_delivery", lambda folder: None)


def kinds(folder: Path) -> list[str]:
    return [record["kind"] for record in Outbox(folder).read()[0]]


def test_neither_the_callback_nor_the_drain_imports_mlflow() -> None:
    code = (
        "import sys, tuneexp.tracking.callback, tuneexp.tracking.delivery_process, tuneexp.tracking.store;"
        "print([name for name in sys.modules if name.split('.')[0] in ('mlflow', 'torch', 'sqlalchemy')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_delivering_process_imports_neither_ray_nor_torch() -> None:
    code = (
        "import sys, tuneexp.tracking.delivery, tuneexp.tracking.runs;"
        "print([name for name in sys.modules if name.split('.')[0] in ('ray', 'torch')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.usefixtures("no_delivery")
def test_a_hook_costs_well_under_a_millisecond(tmp_path: Path) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    results = [make_result(steps, **{f"update/m{number}": 0.1 for number in range(20)}) for steps in range(1, 301)]
    spent_s = []
    for result in results:
        start = time.process_time()
        callback.on_trial_result(0, [], trial, result)
        spent_s.append(time.process_time() - start)
    assert median(spent_s) < 0.001  # the mean has the pauses that other processes cause


@pytest.mark.usefixtures("no_delivery")
def test_a_trial_that_ctrl_c_stopped_did_not_hit_a_time_limit(tmp_path: Path) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 100)
    trial.status = "TERMINATED"  # as Tune leaves it, after a signal and after a time limit
    with faults.interrupts_are(lambda: True):
        callback.on_experiment_end([trial])
    assert "trial_ended" not in kinds(tmp_path / "first")
    with faults.interrupts_are(lambda: False):
        callback.on_experiment_end([trial])
    assert "trial_ended" in kinds(tmp_path / "first")


@pytest.mark.usefixtures("no_delivery")
def test_a_pickled_callback_holds_no_handles_and_continues_where_the_file_is(tmp_path: Path) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    copy = pickle.loads(pickle.dumps(callback))
    trial = make_trial(2)
    copy.on_trial_start(0, [], trial)
    report(copy, trial, 500)
    log = SweepLog.read(tmp_path / "first")
    assert {number: run.last_step for number, run in log.runs.items()} == {1: 1000, 2: 500}
    assert copy.get_state()["sweep_id"] == log.sweep_id == callback.get_state()["sweep_id"]


@pytest.mark.usefixtures("no_delivery")
def test_a_resumed_trial_adds_only_what_is_new(tmp_path: Path) -> None:
    before = make_callback(tmp_path)
    trial = make_trial(1)
    before.on_trial_start(0, [], trial)
    report(before, trial, 100, 200, 300)
    # SIGKILL. Tune's snapshot and the checkpoint are of step 100.
    after = make_callback(tmp_path)
    restored = make_trial(1, status="PENDING", last_result=make_result(100))
    after.on_step_begin(0, [restored])
    after.on_trial_start(0, [restored], restored)
    report(after, restored, 200, 300, 400)
    steps = [record["step"] for record in Outbox(tmp_path / "first").read()[0] if record["kind"] == "reported"]
    assert steps == [100, 200, 300, 400]
    assert kinds(tmp_path / "first").count("trial_started") == 1


def after_a_kill(storage: Path, *restored: FakeTrial) -> Any:
    """A new driver whose Tune has only the trials `restored`. The delivering process was killed with the old driver."""
    kill_delivery(storage / "first")
    callback = make_callback(storage)
    callback.on_step_begin(0, list(restored))
    return callback


def two_trials_one_beyond_the_snapshot(storage: Path) -> FakeTrial:
    """Trial 1 ended and is in Tune's snapshot; trial 2 ended after it. Returns trial 1 as Tune restores it."""
    before = make_callback(storage)
    first = run_trial(before, 1, 500, 1000)
    run_trial(before, 2, 500, 1000, learning_rate=0.1)
    assert wait_until_delivered(storage / "first", PATIENCE_S)
    first.status = "TERMINATED"
    return first


def test_a_number_drawn_again_with_the_same_values_keeps_its_run(tmp_path: Path, store: Store) -> None:
    first = two_trials_one_beyond_the_snapshot(tmp_path)
    old = store.trials()
    after = after_a_kill(tmp_path, first)
    again = run_trial(after, 2, 500, 1000, learning_rate=0.1)
    assert after.finish([], None, None, PATIENCE_S) is None
    new = store.trials()
    assert {number: run.info.run_id for number, run in new.items()} == {
        number: run.info.run_id for number, run in old.items()
    }
    assert store.steps(new[2]) == [500, 1000]
    assert new[2].info.status == "FINISHED"
    assert again.last_result["env_steps"] == 1000


def test_a_number_drawn_again_with_other_values_gets_a_new_run_and_the_old_one_goes(
    tmp_path: Path, store: Store
) -> None:
    first = two_trials_one_beyond_the_snapshot(tmp_path)
    old = store.trials()
    after = after_a_kill(tmp_path, first)
    run_trial(after, 2, 400, 1000, learning_rate=0.2)
    assert after.finish([], 2, None, PATIENCE_S) is None
    new = store.trials()
    assert set(new) == {1, 2}
    assert new[1].info.run_id == old[1].info.run_id
    assert new[2].info.run_id != old[2].info.run_id
    assert new[2].data.params == {"learning_rate": "0.2"}
    assert store.steps(new[2]) == [400, 1000]
    assert [run.info.run_id for run in store.runs(deleted=True)] == [old[2].info.run_id]
    assert after.ids().run_ids[2] == new[2].info.run_id
    (parent,) = store.parents()
    assert parent.data.tags["best.run_id"] == new[2].info.run_id


def test_a_run_beyond_the_snapshot_that_is_never_drawn_again_goes(tmp_path: Path, store: Store) -> None:
    first = two_trials_one_beyond_the_snapshot(tmp_path)
    after = after_a_kill(tmp_path, first)
    assert after.finish([], None, None, PATIENCE_S) is None
    assert set(store.trials()) == {1}
    assert set(after.ids().run_ids) == {1}


@pytest.mark.slow
def test_a_second_kill_during_the_resume_changes_nothing(tmp_path: Path, store: Store) -> None:
    first = two_trials_one_beyond_the_snapshot(tmp_path)
    interrupted = after_a_kill(tmp_path, first)
    trial = make_trial(2, learning_rate=0.2)
    interrupted.on_trial_start(0, [], trial)
    report(interrupted, trial, 400)
    after = after_a_kill(tmp_path, first)  # the snapshot still knows only trial 1
    run_trial(after, 2, 300, 600, learning_rate=0.3)
    assert after.finish([], None, None, PATIENCE_S) is None
    runs = store.trials()
    assert runs[2].data.params == {"learning_rate": "0.3"}
    assert store.steps(runs[2]) == [300, 600]
    assert len(store.runs(deleted=True)) == 2


def test_a_trial_set_back_and_then_stopped_earlier_shows_only_what_counts(tmp_path: Path, store: Store) -> None:
    before = make_callback(tmp_path)
    trial = make_trial(1)
    before.on_trial_start(0, [], trial)
    report(before, trial, 100, 200, 300, 400)
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    restored = make_trial(1, last_result=make_result(100))
    after = after_a_kill(tmp_path, restored)
    after.on_trial_start(0, [], restored)
    report(after, restored, 200)
    restored.last_result["done"] = True  # this time the scheduler stops it
    after.on_trial_complete(0, [], restored)
    assert after.finish([], None, None, PATIENCE_S) is None
    run = store.trials()[1]
    assert store.steps(run) == [100, 200]
    assert (run.data.tags["outcome"], run.data.tags["env_steps"]) == ("pruned", "200")
    assert run.data.params == {"learning_rate": "0.001"}


def test_an_end_that_was_written_but_not_in_the_snapshot_is_taken_back(tmp_path: Path, store: Store) -> None:
    before = make_callback(tmp_path)
    run_trial(before, 1, 500, 1000)
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    restored = make_trial(1, status="PENDING", last_result=make_result(500))
    after = after_a_kill(tmp_path, restored)
    after.on_trial_start(0, [], restored)
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    assert store.trials()[1].info.status == "RUNNING"
    report(after, restored, 1000)
    after.on_trial_complete(0, [], restored)
    assert after.finish([], None, None, PATIENCE_S) is None
    assert store.trials()[1].info.status == "FINISHED"
    assert store.steps(store.trials()[1]) == [500, 1000]


@pytest.mark.slow
def test_a_lost_outbox_is_made_again_without_a_second_run_or_a_second_metric(tmp_path: Path, store: Store) -> None:
    before = make_callback(tmp_path)
    first = run_trial(before, 1, 500, 1000)
    second = make_trial(2)
    before.on_trial_start(0, [], second)
    report(before, second, 500)
    assert wait_until_delivered(tmp_path / "first", PATIENCE_S)
    state = pickle.loads(pickle.dumps(before.get_state()))
    kill_delivery(tmp_path / "first")
    shutil.rmtree(tmp_path / "first" / "outbox")
    after = make_callback(tmp_path)
    after.set_state(state)
    first.status = "TERMINATED"
    after.on_step_begin(0, [first, second])
    after.on_trial_start(0, [], second)
    report(after, second, 500, 1000)
    after.on_trial_complete(0, [], second)
    assert after.finish([], None, None, PATIENCE_S) is None
    assert {number: store.steps(run) for number, run in store.trials().items()} == {1: [500, 1000], 2: [500, 1000]}
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert len(store.parents()) == 1


def test_an_end_that_never_got_into_the_outbox_is_taken_from_the_summary(tmp_path: Path, store: Store) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 500)
    row = {"trial_number": 1, "outcome": "out_of_memory", "env_steps": 500, "reason": "MemoryError"}
    assert callback.finish([row], None, None, PATIENCE_S) is None
    run = store.trials()[1]
    assert (run.data.tags["outcome"], run.data.tags["reason"]) == ("out_of_memory", "MemoryError")
    assert run.info.status == "FAILED"


@pytest.mark.usefixtures("no_delivery")
def test_a_number_of_the_snapshot_with_other_values_than_its_run_is_replaced(tmp_path: Path) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, learning_rate=0.1)
    run_trial(callback, 2, 500, learning_rate=0.1)
    assert reconcile(tmp_path / "first", {1: {"learning_rate": 0.9}}) == [2]
    assert reconcile(tmp_path / "first", {1: {"learning_rate": 0.9}}) == [2]
    log = SweepLog.read(tmp_path / "first")
    assert set(log.runs) == {2}
    assert log.next_draw == {1: 1}


@pytest.mark.usefixtures("no_delivery")
def test_values_that_a_scheduler_changes_while_a_trial_runs_become_a_series(tmp_path: Path) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1, learning_rate=0.1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 100)
    trial.config["hyperparameters"]["learning_rate"] = 0.2
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 200, 300)
    reports = current_reports(tmp_path / "first")[1]
    assert [record["metrics"].get("hyperparameter/learning_rate") for record in reports] == [None, 0.2, None]
    assert reconcile(tmp_path / "first", {1: {"learning_rate": 0.2}}) == []
    assert 1 in SweepLog.read(tmp_path / "first").runs


@pytest.mark.usefixtures("no_delivery")
def test_current_reports_leave_out_discarded_draws(tmp_path: Path) -> None:
    run_trial(make_callback(tmp_path), 1, 500, 1000, learning_rate=0.1)
    after = after_a_kill(tmp_path)
    run_trial(after, 1, 250, learning_rate=0.2)
    assert [record["step"] for record in current_reports(tmp_path / "first")[1]] == [250]


def test_a_hyperparameter_of_a_member_has_one_value_at_each_step(tmp_path: Path, store: Store) -> None:
    """The report before a takeover has the value that trained it; the new one begins a step later."""
    callback = make_callback(tmp_path)
    trial = make_trial(1, learning_rate=0.1)
    trial.config |= {"of_population": True}
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 250)
    takeover = {"env_steps": 250, "donor": 3, "before": {"learning_rate": 0.1}, "after": {"learning_rate": 0.4}}
    trial.config |= {"takeovers": [takeover], "hyperparameters": {"learning_rate": 0.4}}
    for _ in range(2):  # it may repeat after a kill
        callback.taken_over(trial, takeover)
    report(callback, trial, 500)
    callback.on_trial_complete(0, [], trial)
    assert callback.finish([], None, None, PATIENCE_S) is None
    run = store.trials()[1]
    series = store.client.get_metric_history(run.info.run_id, "hyperparameter/learning_rate")
    assert [(point.step, point.value) for point in series] == [(250, 0.1), (251, 0.4), (500, 0.4)]
    assert store.steps(run, "population/donor") == [250]
