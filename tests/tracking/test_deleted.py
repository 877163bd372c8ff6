"""Runs that a user deletes or renames in MLflow during a sweep: reported, never blocking, nothing counted twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tracking.helpers import Store, make_callback, make_trial, report, run_trial
from tuneexp.tracking import callback as callback_module
from tuneexp.tracking import outbox_records as records
from tuneexp.tracking.callback import MLflowCallback
from tuneexp.tracking.delivery import Delivery
from tuneexp.tracking.outbox import outbox_folder


class Sweep:
    """A sweep whose outbox is delivered in this process, when the test calls for it."""

    def __init__(self, storage: Path, store: Store) -> None:
        self.folder, self.store = storage / "first", store
        self.callback: MLflowCallback = make_callback(storage)
        self.told: list[str] = []
        self.delivery = self.new_delivery()
        self.trial = make_trial(1)
        self.callback.on_trial_start(0, [], self.trial)
        report(self.callback, self.trial, 250, 500)
        run_trial(self.callback, 2, 500, 1000)
        self.deliver()

    def new_delivery(self) -> Delivery:
        """The delivery of a resumed sweep's process."""
        self.delivery = Delivery(self.folder, lambda kind, text: self.told.append(text))
        return self.delivery

    def deliver(self) -> None:
        for _ in range(20):
            if not self.delivery.round():
                return
        raise AssertionError("delivery is stuck")

    def end(self, checkpoint: str | None = None) -> None:
        report(self.callback, self.trial, 750, 1000)
        self.callback.on_trial_complete(0, [], self.trial)
        self.callback.finish([{"trial": 1}], 2, checkpoint, 1.0)
        self.deliver()

    def run_id(self, trial: int) -> str:
        return self.delivery.position.run_ids[f"{trial}.0"]

    def arrived(self) -> dict[int, list[int]]:
        """Trial number -> its steps, checked to be under one parent, which has the summary."""
        (parent,) = self.store.parents()
        assert parent.info.status == "FINISHED"
        trials = self.store.trials()
        assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {parent.info.run_id}
        assert not (outbox_folder(self.folder) / "refused.jsonl").exists()
        return {number: self.store.steps(run) for number, run in trials.items()}


@pytest.fixture
def sweep(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setattr(callback_module, "start_delivery", lambda folder: None)
    monkeypatch.setattr(callback_module, "finish_delivery", lambda folder, timeout_s: None)
    return Sweep(tmp_path, store)


ALL = {1: [250, 500, 750, 1000], 2: [500, 1000]}


def test_a_deleted_run_of_a_trial_stays_deleted_and_is_reported_once(sweep: Sweep) -> None:
    sweep.store.client.delete_run(sweep.run_id(1))
    sweep.end()
    assert sweep.arrived() == {2: ALL[2]}
    assert len(sweep.told) == 1
    assert sweep.told[0].endswith(": trial 1")
    sweep.new_delivery().position.offset = 0  # a resume, and everything once more
    sweep.deliver()
    assert sweep.arrived() == {2: ALL[2]}
    assert len(sweep.told) == 1


def test_a_run_of_a_trial_that_is_deleted_for_good_does_not_hold_up_the_others(sweep: Sweep) -> None:
    delete_for_good(sweep.store, sweep.run_id(1))
    sweep.end()
    assert sweep.arrived() == {2: ALL[2]}
    assert len(sweep.told) == 1


def test_a_deleted_run_of_the_sweep_is_restored(sweep: Sweep) -> None:
    parent = sweep.delivery.position.parent_run_id
    sweep.store.client.delete_run(parent)
    sweep.end()
    assert sweep.arrived() == ALL
    assert sweep.delivery.position.parent_run_id == parent
    assert len(sweep.told) == 1
    assert "restored" in sweep.told[0]


def test_a_run_of_the_sweep_that_is_deleted_for_good_is_made_anew(sweep: Sweep) -> None:
    delete_for_good(sweep.store, sweep.delivery.position.parent_run_id)
    sweep.end()
    assert sweep.arrived() == ALL
    assert len(sweep.told) == 1


def test_a_deleted_experiment_is_left_for_a_new_one_that_gets_everything(sweep: Sweep) -> None:
    sweep.store.client.delete_experiment(sweep.delivery.position.experiment_id)
    sweep.end()
    assert sweep.arrived() == ALL
    assert sweep.store.client.get_experiment(sweep.delivery.position.experiment_id).name == "CartPole-v1 (2)"
    assert len(sweep.told) == 1


def test_names_that_a_person_changed_stay_and_split_nothing(sweep: Sweep) -> None:
    client, position = sweep.store.client, sweep.delivery.position
    client.update_run(sweep.run_id(1), name="good one")
    client.update_run(position.parent_run_id, name="my sweep")
    client.rename_experiment(position.experiment_id, "mine")
    sweep.callback._forget()  # a resume begins with its own record of the sweep
    sweep.callback.start()
    sweep.new_delivery()
    sweep.end()
    assert sweep.arrived() == ALL
    assert sweep.told == []
    assert sweep.store.trials()[1].info.run_name == "good one"
    assert sweep.store.parents()[0].info.run_name == "my sweep"


def test_a_deleted_model_is_made_again_by_the_next_end_of_the_sweep(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state").write_bytes(b"x")
    sweep.end(str(tmp_path / "checkpoint"))
    (first,) = models(sweep)
    sweep.store.client.delete_logged_model(first.model_id)
    sweep.callback.finish([{"trial": 1}], 2, str(tmp_path / "checkpoint"), 1.0)
    sweep.deliver()
    (second,) = models(sweep)
    assert second.model_id != first.model_id
    assert sweep.store.parents()[0].data.tags["best.model_id"] == second.model_id
    assert sweep.arrived() == ALL


def test_what_is_refused_is_put_aside_once_however_often_it_is_delivered(sweep: Sweep) -> None:
    refused = outbox_folder(sweep.folder) / "refused.jsonl"
    # MLflow's params can't change.
    sweep.callback._write(
        records.TRIAL_STARTED, trial=2, draw=0, sweep="first", params={"learning_rate": 9.0}, again=True
    )
    sweep.end()
    assert len(refused.read_text().splitlines()) == 1
    assert sweep.delivery.position.refused == 1
    (outbox_folder(sweep.folder) / "delivered.json").unlink()
    sweep.new_delivery()
    sweep.deliver()
    assert len(refused.read_text().splitlines()) == 1
    assert sweep.delivery.position.refused == 1
    assert {number: sweep.store.steps(run) for number, run in sweep.store.trials().items()} == ALL


def models(sweep: Sweep) -> list[Any]:
    return list(sweep.store.client.search_logged_models([sweep.delivery.position.experiment_id]))


def delete_for_good(store: Store, run_id: str) -> None:
    """Delete a deleted run permanently, as `mlflow gc` does."""
    client = store.client
    client.delete_run(run_id)
    client._tracking_client.store._hard_delete_run(run_id)
