"""Names, descriptions and artifacts in a real MLflow store, delivered in this process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.helpers import Store, make_callback, make_trial, report, run_trial
from tuneexp.tracking import callback as callback_module
from tuneexp.tracking.callback import MLflowCallback
from tuneexp.tracking.delivery import Delivery
from tuneexp.tracking.delivery_process import undelivered
from tuneexp.tracking.descriptions import NOTE

Deliver = Callable[[], None]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def deliver(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, told: list[str]) -> Deliver:
    """Deliver the callback's records to the store, in this process."""
    delivery = Delivery(tmp_path / "first", lambda kind, text: told.append(text))

    def all_of_it(*_: Any) -> None:
        while delivery.round():
            pass

    def finish(folder: Path, timeout_s: float) -> Any:
        all_of_it()
        return undelivered(folder)

    monkeypatch.setattr(callback_module, "start_delivery", lambda folder: None)
    monkeypatch.setattr(callback_module, "finish_delivery", finish)
    return all_of_it


def names(store: Store) -> dict[int, str]:
    return {number: run.info.run_name for number, run in store.trials().items()}


def test_names_tell_how_trials_ended_and_descriptions_why(tmp_path: Path, store: Store, deliver: Deliver) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    run_trial(callback, 2, 500, learning_rate=0.1)
    failed = make_trial(3, learning_rate=0.5)
    callback.on_trial_start(0, [], failed)
    deliver()
    assert names(store) == {1: "001 learning_rate=0.001", 2: "002 pruned learning_rate=0.1", 3: "003 learning_rate=0.5"}
    assert store.trials()[3].data.tags["outcome"] == "running"
    failed.status, failed.error = "ERROR", "Failure # 1 (occurred)\nEnvironmentFault: it returned NaN"
    callback.on_trial_error(0, [], failed)
    assert callback.finish([], 1, None, 0.0) is None
    assert names(store)[3] == "003 failed learning_rate=0.5"
    runs = {number: run.data.tags for number, run in store.trials().items()}
    (parent,) = store.parents()
    page = f"#/experiments/{parent.info.experiment_id}/runs"
    assert "Objective 10.0" in runs[1][NOTE]
    assert f"({page}/{parent.info.run_id})" in runs[1][NOTE]
    assert "Pruned" in runs[2][NOTE]
    assert "EnvironmentFault" in runs[3][NOTE]
    assert f"[trial 1]({page}/{store.trials()[1].info.run_id})" in parent.data.tags[NOTE]
    experiment = store.client.get_experiment(parent.info.experiment_id)
    assert f"[first]({page}/{parent.info.run_id}) | " in experiment.tags[NOTE]
    assert {tags["mlflow.user"] for tags in (parent.data.tags, *runs.values())} == {"ada"}
    assert "reason" not in runs[1]  # a completed trial has no reason


def test_names_and_descriptions_of_a_person_stay(tmp_path: Path, store: Store, deliver: Deliver) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    deliver()
    (parent,), run = store.parents(), store.trials()[1]
    client = store.client
    client.update_run(run.info.run_id, name="my favourite")
    for run_id in (run.info.run_id, parent.info.run_id):
        client.set_tag(run_id, NOTE, "mine")
    client.set_experiment_tag(parent.info.experiment_id, NOTE, "ours")
    report(callback, trial, 500)
    trial.last_result["done"] = True
    callback.on_trial_complete(0, [], trial)
    assert callback.finish([], 1, None, 0.0) is None
    assert store.trials()[1].info.run_name == "my favourite"
    assert {run.data.tags[NOTE] for run in store.runs()} == {"mine"}
    assert client.get_experiment(parent.info.experiment_id).tags[NOTE] == "ours"


def test_an_interrupted_trial_is_named_so_until_a_resume_ends_it(
    tmp_path: Path, store: Store, deliver: Deliver
) -> None:
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 500)
    assert callback.interrupt(0.0) is None
    run = store.trials()[1]
    assert (run.info.run_name, run.data.tags["outcome"]) == ("001 interrupted learning_rate=0.001", "interrupted")
    assert "resume first" in store.parents()[0].data.tags[NOTE]
    resumed = make_callback(tmp_path)
    resumed.on_step_begin(0, [trial])
    resumed.on_trial_start(0, [trial], trial)
    deliver()
    assert names(store) == {1: "001 learning_rate=0.001"}
    report(resumed, trial, 1000)
    resumed.on_trial_complete(0, [trial], trial)
    assert resumed.finish([], 1, None, 0.0) is None
    assert store.trials()[1].data.tags["outcome"] == "completed"
    assert "Best objective" in store.parents()[0].data.tags[NOTE]


def test_texts_beside_the_sweep_are_artifacts_of_its_run_from_the_start(
    tmp_path: Path, store: Store, deliver: Deliver
) -> None:
    callback = make_callback(tmp_path)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "experiment.yaml").write_text("algorithm: ppo\n")
    callback.on_trial_start(0, [], make_trial(1))
    deliver()
    (parent,) = store.parents()
    assert {file.path for file in store.client.list_artifacts(parent.info.run_id)} == {
        "experiment.yaml", "search_space.yaml",
    }  # fmt: skip


def test_artifacts_that_can_not_be_stored_hold_up_no_report(
    tmp_path: Path, store: Store, deliver: Deliver, told: list[str]
) -> None:
    (tmp_path / "mlartifacts").write_text("in the way of the folder")
    callback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 500)
    deliver()
    assert store.steps(store.trials()[1]) == [500]
    assert len(told) == 1
    assert "artifacts" in told[0]


def calls_of(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of MLflow's client from now on."""
    from mlflow import MlflowClient

    counted: Counter[str] = Counter()
    for name in [name for name in vars(MlflowClient) if not name.startswith("_")]:
        method = getattr(MlflowClient, name)
        if callable(method):

            def counting(self: Any, *args: Any, _name: str = name, _method: Any = method, **options: Any) -> Any:
                counted[_name] += 1
                return _method(self, *args, **options)

            monkeypatch.setattr(MlflowClient, name, counting)
    return counted


def test_a_report_costs_one_call_and_the_end_of_a_trial_three(
    tmp_path: Path, store: Store, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback: MLflowCallback = make_callback(tmp_path)
    trial = make_trial(1)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, 50)  # the first one tells which sections of metrics the saved view closes
    deliver()
    counted = calls_of(monkeypatch)
    for steps in (100, 200, 300):
        report(callback, trial, steps)
        deliver()
    assert counted == {"log_batch": 3}
    counted.clear()
    callback.on_trial_complete(0, [], trial)
    deliver()
    assert counted == {"get_run": 1, "log_batch": 1, "set_terminated": 1}


def test_records_of_an_older_version_are_delivered_as_they_were(tmp_path: Path, store: Store, deliver: Deliver) -> None:
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500, 1000)
    run_trial(callback, 2, 500)
    path = tmp_path / "first" / "outbox" / "records.jsonl"
    new = {"origin", "note", "label", "env", "artifacts", "trials"}
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in one.items() if k not in new}) + "\n" for one in entries))
    deliver()
    assert names(store) == {1: "trial-001", 2: "trial-002"}
    assert {number: run.data.tags["outcome"] for number, run in store.trials().items()} == {1: "completed", 2: "pruned"}
    # A resume by this version names what it starts.
    run_trial(callback, 3, 500)
    deliver()
    assert names(store)[3] == "003 pruned learning_rate=0.001"
