"""Storage folders with unusual names, moved or copied: MLflow finds its artifacts in the current folder."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.tracking.helpers import Store, make_callback, make_trial, report
from tuneexp.tracking.delivery_process import drain_now
from tuneexp.tracking.store import artifact_root, open_client, prepare, tracking_uri
from tuneexp.tracking.values import stored_path

PATIENCE_S = 60.0
NASTY = "a b ä%20#?&[x]'\"\n:@;=\\~日"
NAMES = ["My Drive", "Zürich", "50%", "%20", "a#b", "a?b", "a&b=c", "[x]", "it's", 'a"b', "a\nb", "u:p@h", "a;b", NASTY]


def test_each_special_character_in_the_path_of_a_storage_works_and_makes_no_other_folder(
    tmp_path: Path, fresh_database: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "state").write_bytes(b"weights")
    for number, name in enumerate(NAMES):
        storage = tmp_path / str(number) / name / "runs"
        storage.mkdir(parents=True)
        shutil.copy(fresh_database, storage / "mlflow.db")
        client = open_client(storage)
        experiment = client.create_experiment("e", artifact_location=artifact_root(storage))
        run_id = client.create_run(experiment).info.run_id
        client.log_text(run_id, "rows", "table/trials.csv")
        model = client.create_logged_model(experiment, name="best", source_run_id=run_id)
        client.log_model_artifacts(model.model_id, str(weights))
        assert Path(client.download_artifacts(run_id, "table/trials.csv")).read_text() == "rows"
        assert {path.name for path in storage.iterdir()} == {"mlflow.db", "mlflow.lock", "mlartifacts"}
        assert {path.name for path in (storage / "mlartifacts").iterdir()} == {run_id, "models"}
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == [name]
    assert {path.name for path in tmp_path.iterdir()} == {"weights", *map(str, range(len(NAMES)))}


@pytest.mark.parametrize("chosen", ["sqlite:///my db.sqlite", "sqlite:////{folder}/my%20db.sqlite"])
def test_an_sqlite_address_of_ones_own_is_absolute_and_makes_no_other_folder(
    chosen: str, tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "My Drive"
    folder.mkdir()
    shutil.copy(fresh_database, folder / "my db.sqlite")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", chosen.format(folder=str(folder).replace(" ", "%20").lstrip("/")))
    assert open_client("runs").search_experiments()
    assert tracking_uri("runs").endswith(f"{tmp_path}/My%20Drive/my%20db.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["My Drive"]
    assert [path.name for path in folder.iterdir()] == ["my db.sqlite"]


def deliver(storage: Path, name: str = "first", *env_steps: int) -> None:
    """Deliver one sweep of one trial with a checkpoint to MLflow, in this process."""
    callback = make_callback(storage, name)
    trial = make_trial(1)
    checkpoint = storage / name / "trial_1" / "checkpoint_000001"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "state").write_bytes(b"weights")
    callback.on_trial_start(0, [], trial)
    report(callback, trial, *env_steps)
    callback.on_checkpoint(0, [], trial, type("Checkpoint", (), {"path": str(checkpoint)}))
    callback.on_trial_complete(0, [], trial)
    assert callback.finish([{"trial": 1}], 1, str(checkpoint), PATIENCE_S) is None


def files(storage: Path) -> dict[str, Path]:
    """Paths of MLflow's tables by sweep, and of its models by name."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    store = Store(tracking_uri(storage))
    parents = store.parents()
    found = {run.data.tags["tuneexp.sweep"]: f"{run.info.artifact_uri}/trials.csv" for run in parents}
    for model in store.client.search_logged_models([parents[0].info.experiment_id]):
        assert model.name not in found, "a model was made twice"
        found[model.name] = f"{model.artifact_location}/state"
    assert len(found) == 2 * len(parents)
    return {name: Path(local_file_uri_to_path(uri)) for name, uri in found.items()}


@pytest.mark.slow
def test_a_moved_storage_takes_its_artifacts_along_and_new_ones_go_there(tmp_path: Path, fresh_database: Path) -> None:
    old, new = tmp_path / "old place", tmp_path / NASTY
    old.mkdir()
    shutil.copy(fresh_database, old / "mlflow.db")
    deliver(old, "first", 500, 1000)
    old.rename(new)

    deliver(new, "second", 500, 1000)
    (new / "first" / "outbox" / "delivered.json").unlink()  # all of the first sweep once more, as a resume does
    assert drain_now(new / "first", PATIENCE_S) is None

    assert not old.exists()
    found = files(new)
    assert set(found) == {"first", "second", "first-trial-1-step-1000", "second-trial-1-step-1000"}
    assert all(path.is_relative_to(new / "mlartifacts") and path.is_file() for path in found.values())
    runs = [run for run in Store(tracking_uri(new)).runs() if "checkpoint" in run.data.tags]
    assert {run.data.tags["checkpoint"] for run in runs} == {
        str(new / name / "trial_1" / "checkpoint_000001") for name in ("first", "second")
    }


def test_a_copied_storage_has_its_own_artifacts(tmp_path: Path, fresh_database: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run_id = made(one, fresh_database, "text")
    shutil.copytree(one, two)
    for storage in (two, one):  # addresses, since MLflow caches the folder of a run by its id
        client = open_client(storage)
        run = client.get_run(run_id)
        assert run.info.artifact_uri == f"{artifact_root(storage)}/{run_id}/artifacts"
        assert client.get_experiment(run.info.experiment_id).artifact_location == artifact_root(storage)


def test_the_ui_of_a_moved_storage_of_an_older_version_finds_its_artifacts(
    tmp_path: Path, fresh_database: Path
) -> None:
    """Older versions stored paths, and no record of the folder."""
    old, new, elsewhere = tmp_path / "old", tmp_path / "new place", tmp_path / "elsewhere"
    run_id = made(old, fresh_database, "text")
    (elsewhere / "mlartifacts").mkdir(parents=True)
    with sqlite3.connect(old / "mlflow.db") as store:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            store.execute(f"UPDATE {table} SET {column} = replace({column}, 'file://', '')")
        store.execute("UPDATE experiments SET artifact_location = '/anywhere/mlruns/0' WHERE experiment_id = 0")
        # Another storage sends its sweeps here by MLFLOW_TRACKING_URI: its artifacts stay where they are.
        store.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, workspace) "
            "VALUES (7, 'x', ?, 'active', 'default')", [str(elsewhere / "mlartifacts")],
        )  # fmt: skip
    old.rename(new)
    prepare(new)
    client = open_client(new)
    assert Path(client.download_artifacts(run_id, "text")).read_text() == "text"
    assert client.get_experiment("7").artifact_location == str(elsewhere / "mlartifacts")
    assert not old.exists()


def made(storage: Path, fresh_database: Path, text: str) -> str:
    """A default store with one run and its artifact `text`. Returns the run's id."""
    storage.mkdir()
    shutil.copy(fresh_database, storage / "mlflow.db")
    client = open_client(storage)
    run = client.create_run(client.create_experiment("e", artifact_location=artifact_root(storage)))
    client.log_text(run.info.run_id, text, "text")
    return str(run.info.run_id)


def test_a_checkpoint_is_kept_relative_to_its_sweep_or_as_an_address_that_works(tmp_path: Path) -> None:
    sweep, inside = tmp_path / "s", tmp_path / "s" / "trial_1" / "checkpoint_1"
    assert stored_path(str(inside), sweep) == "trial_1/checkpoint_1"
    assert stored_path("/far/s/trial_1/checkpoint_1", sweep) == "/far/s/trial_1/checkpoint_1"
    # Tune tells the path in the bucket or of the file, without scheme, quoting and options.
    for place in ("file:///My%20Drive", "s3://bucket/runs?region=us-east-1"):
        uri = stored_path("/My Drive/s/trial_1/checkpoint_1", sweep, place)
        folder, question, options = place.partition("?")
        assert uri == f"{folder}/s/trial_1/checkpoint_1{question}{options}"
