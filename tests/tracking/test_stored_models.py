"""Checkpoints in MLflow: found by their addresses on a machine that never had them, and trained on."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from tests.faults.stored import store_checkpoint, store_sweep
from tuneexp import evaluate, load_policy, load_sweep
from tuneexp.cli import run
from tuneexp.errors import UserError
from tuneexp.sweep.stored_addresses import stored_checkpoint
from tuneexp.tracking.checkpoint_models import log_checkpoint
from tuneexp.tracking.continued_run import ContinuedRun
from tuneexp.tracking.outbox import load_position, save_position
from tuneexp.tracking.stored_models import Origin

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kept:
    """Content of the store: a trial with two models, its sweep, a trial without a model, and a registered model."""

    uri: str
    experiment: str
    parent: str
    trial: str
    bare: str
    models: tuple[str, str]

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, fresh_database: Path) -> Kept:
    """A store on another machine: its checkpoints were removed after they were logged."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(fresh_database, folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.create_experiment("CartPole-v1", artifact_location=(folder / "artifacts").as_uri())
    runs = [client.create_run(experiment).info.run_id for _ in range(3)]
    checkpoint = store_checkpoint(folder / "checkpoint")
    models = [
        log_checkpoint(client, experiment, [runs[0], runs[1]], f"first-{step}", step, checkpoint, {"gamma": 0.9})
        for step in (256, 128)
    ]
    client.set_tag(runs[2], "checkpoint", str(checkpoint))
    client.create_registered_model("cartpole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)  # where MLflow itself looks up the model of a version
        for source in (f"models:/{models[0]}", f"runs:/{runs[0]}/first-128"):
            client.create_model_version("cartpole", source=source)
    client.set_registered_model_alias("cartpole", "champion", "1")
    shutil.rmtree(checkpoint)
    return Kept(uri, experiment, runs[1], runs[0], runs[2], (models[0], models[1]))


@pytest.fixture
def elsewhere(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A machine that has nothing but the address of the store."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", kept.uri)
    monkeypatch.chdir(tmp_path)
    return kept


ADDRESSES: dict[str, Callable[[Kept], tuple[str, int]]] = {
    "run": lambda kept: (f"runs:/{kept.trial}", 0),
    "sweep": lambda kept: (f"runs:/{kept.parent}", 0),
    "name": lambda kept: (f"runs:/{kept.trial}/first-128", 1),
    "id": lambda kept: (f"models:/{kept.models[1]}", 1),
    "alias": lambda kept: ("models:/cartpole@champion", 0),
    "version": lambda kept: ("models:/cartpole/2", 1),
    "latest": lambda kept: ("models:/cartpole/latest", 1),
}


@pytest.mark.parametrize("kind", ADDRESSES)
def test_an_address_in_mlflow_is_a_checkpoint_while_it_is_used(elsewhere: Kept, kind: str) -> None:
    address, index = ADDRESSES[kind](elsewhere)
    settings = dict(os.environ)
    with stored_checkpoint(address) as found:
        assert found.origin == Origin(address, elsewhere.experiment, elsewhere.trial, elsewhere.models[index])
        assert (Path(found.path) / "state.json").is_file()
        assert os.environ == settings
    assert not Path(found.path).exists()
    assert not Path("runs").exists()


def test_a_policy_and_an_evaluation_come_from_mlflow(elsewhere: Kept) -> None:
    policy = load_policy("models:/cartpole@champion")
    assert policy(np.zeros(4)) in (0, 1)
    assert evaluate(f"runs:/{elsewhere.trial}", episodes=1)["episodes"] == 1


def test_training_goes_on_from_mlflow_in_a_new_run_that_names_its_origin(
    elsewhere: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "models:/cartpole@champion"
    assert run(["train", "--resume", address, "--env-steps", "128", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    new = elsewhere.client.get_run(done["mlflow_run_id"])
    tags = new.data.tags
    assert (new.info.status, new.info.experiment_id) == ("FINISHED", elsewhere.experiment)
    assert (tags["tuneexp.origin"], tags["tuneexp.origin.run_id"]) == (address, elsewhere.trial)
    assert tags["tuneexp.origin.model_id"] == elsewhere.models[0]
    assert [one.step for one in elsewhere.client.get_metric_history(new.info.run_id, "objective")] == [64, 128]
    with stored_checkpoint(f"runs:/{new.info.run_id}") as again:
        assert json.loads((Path(again.path) / "state.json").read_text())["env_steps"] == 128


def test_an_interrupted_training_continues_with_a_command_that_names_the_address(
    elsewhere: Kept, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuneexp.trial.trial import Trial

    def stop(trial: Trial) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "advance", stop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneexp.cli.exit_codes.refuse_unsignalled", lambda stop, error: None)
        run(["train", "--resume", "models:/cartpole@champion", "--env-steps", "128"])
    assert "tuneexp train --resume models:/cartpole@champion" in capsys.readouterr().err
    newest = elsewhere.client.search_runs([elsewhere.experiment], order_by=["start_time DESC"], max_results=1)[0]
    assert newest.info.status == "KILLED"


def test_a_store_that_fails_ends_the_logging_of_a_training_with_one_warning(
    elsewhere: Kept, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    origin = Origin("models:/cartpole@champion", elsewhere.experiment, elsewhere.trial, elsewhere.models[0])
    run = ContinuedRun(origin, tmp_path, "ppo-x", {"algorithm": "ppo"}, {"gamma": 0.9})
    result = {"env_steps": 64, "objective": 1.0}
    run.report(result)
    elsewhere.client.delete_run(run.run_id)
    with run:
        run.report({**result, "env_steps": 128})
        run.end(tmp_path, result)
    assert elsewhere.client.get_run(run.run_id).data.params == {"gamma": "0.9"}
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "the training continues" in warning


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("runs:/{trial}/first-12", "did you mean runs:/{trial}/first-128"),
        ("runs:/{short}", "did you mean runs:/{trial}"),
        ("runs:/nope", "no run 'nope'"),
        ("runs:/{bare}", "not here: "),
        ("models:/carpole@champion", "did you mean models:/cartpole@champion"),
        ("models:/cartpole@champ", "did you mean models:/cartpole@champion"),
        ("models:/cartpole/9", "did you mean models:/cartpole/"),
        ("models:/cartpole", "did you mean models:/cartpole/1"),
        ("models:/m-" + 32 * "0", "no logged model"),
        ("models:/", "models:/NAME@ALIAS"),
    ],
)
def test_an_address_that_names_nothing_is_refused_with_the_nearest(elsewhere: Kept, address: str, says: str) -> None:
    names = {"trial": elsewhere.trial, "bare": elsewhere.bare, "short": elsewhere.trial[:12]}
    with pytest.raises(UserError) as refused:
        load_policy(address.format(**names))
    assert says.format(**names) in str(refused.value)


def test_without_a_store_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for uri in ("", f"sqlite:///{tmp_path}/none/mlflow.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(UserError, match="set MLFLOW_TRACKING_URI"):
            load_policy("runs:/abc", storage=tmp_path)
    assert not list(tmp_path.iterdir())


class _Refuses(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_wrong_credentials_and_a_server_that_is_down_are_refused_at_once(
    refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for uri, says in ((refusing, "MLFLOW_TRACKING_PASSWORD"), ("http://127.0.0.1:9", "set MLFLOW_TRACKING_URI")):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(UserError, match=says):
            load_policy("models:/cartpole@champion")


def test_code_that_a_checkpoint_in_mlflow_names_needs_trust(elsewhere: Kept, tmp_path: Path) -> None:
    """The message names the address, since the downloaded files are gone."""
    folder = store_checkpoint(tmp_path / "stranger")
    state = folder / "state.json"
    state.write_text(state.read_text().replace('"CartPole-v1"', '"stranger.envs:Env"'))
    run_id = elsewhere.client.create_run(elsewhere.experiment).info.run_id
    log_checkpoint(elsewhere.client, elsewhere.experiment, [run_id], "stranger", 0, folder, {})
    with pytest.raises(UserError) as refused:
        load_policy(f"runs:/{run_id}")
    assert f"tuneexp evaluate runs:/{run_id} --trust" in str(refused.value)


def test_the_model_of_a_sweep_is_registered_as_the_page_says(
    tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = store_sweep(tmp_path / "runs", "first")
    shutil.copy(fresh_database, tmp_path / "runs" / "mlflow.db")
    client = mlflow.MlflowClient("sqlite:///runs/mlflow.db")
    experiment = client.create_experiment("CartPole-v1", artifact_location=(tmp_path / "runs/mlartifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id
    save_position(folder, replace(load_position(folder), parent_run_id=run_id))
    model_id = log_checkpoint(
        client, experiment, [run_id], "first-trial-0-step-128", 128, store_checkpoint(tmp_path / "checkpoint"), {}
    )
    client.set_tag(run_id, "best.model_id", model_id)
    shared: dict[str, Any] = {"load_sweep": load_sweep}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "after_tuning.md").read_text(), re.DOTALL)
    try:
        for block in (block for block in blocks if "mlflow" in block):
            exec(block, shared)
    finally:
        mlflow.set_tracking_uri(None)
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert load_policy("models:/cartpole@champion").facts.env == "CartPole-v1"
