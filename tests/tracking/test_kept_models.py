"""Checkpoints of ended trials as logged models of a real store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.helpers import Store, make_callback, make_trial, report, run_trial
from tuneexp.tracking import callback as callback_module
from tuneexp.tracking import checkpoint_models, kept_models
from tuneexp.tracking import outbox_records as records
from tuneexp.tracking.checkpoint_models import ENV_STEPS, MODEL_TYPE
from tuneexp.tracking.delivery import Delivery
from tuneexp.tracking.outbox import outbox_folder
from tuneexp.tracking.stored_models import fetch_checkpoint
from tuneexp.tracking.undelivered_models import undelivered_checkpoints


class Sweep:
    """A sweep with one ended trial of four reports and checkpoints, delivered in this process."""

    def __init__(self, storage: Path, store: Store) -> None:
        self.storage, self.folder, self.store = storage, storage / "first", store
        self.told: list[str] = []
        self.callback = make_callback(storage)
        self.trial = run_trial(self.callback, 1, 250, 500, 750, 1000)
        for step in (250, 500, 750, 1000):
            folder = self.folder / "trial_1" / f"checkpoint_{step}"
            folder.mkdir(parents=True)
            (folder / "state.json").write_text(f"after {step}")

    def keep(self, *steps: int, trial: int = 1) -> None:
        self.callback.keep(trial, [self.kept(step, rank) for rank, step in enumerate(steps, 1)])

    def kept(self, step: int, rank: int) -> dict[str, Any]:
        path = self.folder / "trial_1" / f"checkpoint_{step}"
        return {"step": step, "path": str(path), "rank": rank, "last": step == 1000}

    def deliver(self) -> None:
        delivery = Delivery(self.folder, lambda kind, text: self.told.append(text))
        for _ in range(20):
            if not delivery.round():
                return
        raise AssertionError("delivery is stuck")

    def finish(self) -> None:
        best = str(self.folder / "trial_1" / "checkpoint_1000")
        self.callback.finish([{"trial": 1}], 1, best, 1.0)
        self.deliver()

    def models(self, query: str | None = None) -> dict[int, Any]:
        """Step -> its model. Fails if a step has two."""
        client = self.store.client
        experiments = [one.experiment_id for one in client.search_experiments()]
        found = client.search_logged_models(experiments, filter_string=query)
        by_step = {int(model.tags[ENV_STEPS]): model for model in found}
        assert len(by_step) == len(found)
        return by_step

    @property
    def files(self) -> list[str]:
        return sorted(path.read_text() for path in (self.storage / "mlartifacts").rglob("state.json"))


@pytest.fixture
def sweep(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setattr(callback_module, "start_delivery", lambda folder: None)
    monkeypatch.setattr(callback_module, "finish_delivery", lambda folder, timeout_s: None)
    return Sweep(tmp_path, store)


def test_each_checkpoint_is_a_searchable_model_with_its_step_metrics_and_the_commands_to_go_on(sweep: Sweep) -> None:
    sweep.keep(1000, 500)
    assert undelivered_checkpoints(sweep.folder) == {"trial_1/checkpoint_500", "trial_1/checkpoint_1000"}
    sweep.deliver()
    assert undelivered_checkpoints(sweep.folder) == frozenset()
    sweep.finish()
    models = sweep.models()
    assert {step: model.name for step, model in models.items()} == {
        500: "first-trial-1-step-500", 1000: "first-trial-1-step-1000",
    }  # fmt: skip
    for step, model in models.items():
        assert (str(model.status), model.model_type) == ("READY", MODEL_TYPE)
        metrics = {(one.key, one.step): one.value for one in model.metrics}
        assert metrics["objective", step] == step / 100
        assert {at for _, at in metrics} == {step}
    assert list(sweep.models("metrics.objective > 6")) == [1000]
    assert list(sweep.models("tags.`tuneexp.rank` = '2'")) == [500]
    assert sweep.files == ["after 1000", "after 500"]
    run = sweep.store.trials()[1]
    assert sorted(one.step for one in run.outputs.model_outputs) == [500, 1000]
    (parent,) = sweep.store.parents()
    assert [one.model_id for one in parent.outputs.model_outputs] == [models[1000].model_id]
    address = f"runs:/{run.info.run_id}/first-trial-1-step-500"
    assert f"`tuneexp train --resume {address} --env-steps 1000`" in models[500].tags["mlflow.note.content"]
    folder = sweep.storage / "download"
    folder.mkdir()
    path, origin = fetch_checkpoint(address, sweep.storage, folder)
    assert ((Path(path) / "state.json").read_text(), origin.model_id) == ("after 500", models[500].model_id)


def test_a_model_of_a_replaced_member_has_the_values_that_trained_it(sweep: Sweep) -> None:
    trial = make_trial(2, learning_rate=0.1)
    sweep.callback.on_trial_start(0, [], trial)
    takeovers: list[dict[str, Any]] = []
    for step, rate in ((250, 0.4), (500, 0.8), (1000, 0.0)):
        report(sweep.callback, trial, step)
        if rate:
            takeovers.append({"env_steps": step, "donor": 1, "before": {}, "after": {"learning_rate": rate}})
            trial.config |= {"takeovers": takeovers, "hyperparameters": {"learning_rate": rate}}
            sweep.callback.taken_over(trial, takeovers[-1])
    sweep.callback.on_trial_complete(0, [], trial)
    sweep.keep(250, 500, 750, 1000, trial=2)
    sweep.callback.finish([{"trial": 2}], 2, str(sweep.folder / "trial_1" / "checkpoint_1000"), 1.0)
    sweep.deliver()
    rates = {step: model.params["learning_rate"] for step, model in sweep.models().items()}
    assert rates == {250: "0.1", 500: "0.4", 750: "0.8", 1000: "0.8"}


def test_models_that_a_later_record_lacks_go_with_their_files_and_repeating_all_changes_nothing(sweep: Sweep) -> None:
    sweep.keep(1000, 500, 250)
    sweep.deliver()
    sweep.keep(1000, 750)
    sweep.finish()
    before = sweep.models()
    assert sorted(before) == [750, 1000]
    assert sweep.files == ["after 1000", "after 750"]
    shutil.rmtree(sweep.folder / "trial_1" / "checkpoint_500")  # as the sweep does; a repeated record names it again
    (outbox_folder(sweep.folder) / "delivered.json").unlink()
    sweep.deliver()
    after = sweep.models()
    assert {step: model.tags for step, model in after.items() if step == 1000} == {1000: before[1000].tags}
    assert sorted(after) == [750, 1000]
    assert sweep.files == ["after 1000", "after 750"]
    (parent,) = sweep.store.parents()
    assert [one.model_id for one in parent.outputs.model_outputs] == [after[1000].model_id]
    assert sweep.told == []


def test_a_failed_copy_delays_no_report_and_is_made_up_for_at_the_end(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_models, "_link", full)
    sweep.keep(1000, 250)
    run_trial(sweep.callback, 2, 500)
    sweep.deliver()
    assert sweep.store.steps(sweep.store.trials()[2]) == [500]
    assert [str(model.status) for model in sweep.models().values()] == ["PENDING"]
    assert "can't be copied to MLflow yet" in sweep.told[0]
    monkeypatch.undo()
    monkeypatch.setattr(callback_module, "finish_delivery", lambda folder, timeout_s: None)
    shutil.rmtree(sweep.folder / "trial_1" / "checkpoint_250")  # nothing dangles: its model goes
    sweep.finish()
    models = sweep.models()
    assert {step: str(model.status) for step, model in models.items()} == {1000: "READY"}
    assert len(models[1000].metrics) > 3
    assert sweep.files == ["after 1000"]


def test_a_checkpoint_under_a_uri_passes_through_a_temporary_copy_and_a_discarded_run_takes_its_models_along(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[Path] = []
    link = checkpoint_models._link

    def noting(source: str, target: str) -> None:
        copies.append(Path(source).parent)
        link(source, target)

    monkeypatch.setattr(checkpoint_models, "_link", noting)
    far = (sweep.folder / "trial_1").as_uri()
    sweep.callback.keep(1, [{**sweep.kept(step, 0), "path": f"{far}/checkpoint_{step}"} for step in (500, 1000)])
    sweep.deliver()
    assert sweep.files == ["after 1000", "after 500"]
    assert len(set(copies)) == 2
    assert not any(copy.exists() for copy in copies)  # one at a time, and none is left
    sweep.callback._write(records.TRIAL_DISCARDED, trial=1, draw=0)
    sweep.deliver()
    assert sweep.models() == {}
    assert sweep.files == []
    assert kept_models.kept_in(sweep.callback._outbox.read()[0]) == []  # type: ignore[union-attr]
