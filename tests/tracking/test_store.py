"""Location of MLflow's store and artifacts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tracking.helpers import Store, make_callback, run_trial
from tuneexp.errors import UserError
from tuneexp.tracking.store import artifact_root, check_store, open_client, tracking_uri, ui_command

PATIENCE_S = 60.0


def test_the_default_store_is_inside_the_storage_and_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking_uri("runs") == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert artifact_root("runs") == f"file://{tmp_path}/runs/mlartifacts"


def test_mlflow_tracking_uri_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host:5000")
    assert tracking_uri(tmp_path) == "http://me:secret@host:5000"
    assert artifact_root(tmp_path) is None  # a server decides itself
    with pytest.raises(UserError, match=r"http://me:\*\*\*@host:5000"):
        ui_command(tmp_path, 5000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://host/db")
    assert artifact_root(tmp_path) == f"file://{tmp_path}/mlartifacts"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_many_processes_may_create_a_fresh_store_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from tuneexp.tracking.store import open_client;"
        "client = open_client(sys.argv[1]); client.create_experiment(sys.argv[2])"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), f"e{number}"], stderr=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors[-2000:]
    names = {experiment.name for experiment in open_client(tmp_path).search_experiments()}
    assert {"e0", "e1", "e2", "e3"} <= names


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kill_while_the_store_is_made_leaves_none_and_the_next_one_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty cache, in which the tables are created."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("TUNEEXP_CACHE", str(cache))
    code = "import sys; from tuneexp.tracking.store import open_client; open_client(sys.argv[1])"
    for pause_s in (0.0, 0.2, 0.5):  # of MLflow's migrations, which take a second
        creator = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
        started = set(cache.glob(".mlflow-*/*.db"))
        while set(cache.glob(".mlflow-*/*.db")) == started:
            assert creator.poll() is None
            time.sleep(0.01)  # or the creator has half a core less
        time.sleep(pause_s)
        creator.kill()
        creator.wait()
        assert not [*tmp_path.glob("*.db"), *cache.glob("*.db")]
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500)
    # The delivering process yields to all others, and makes the whole store: minutes on a busy machine.
    assert callback.finish([], None, None, 4 * PATIENCE_S) is None
    assert set(Store(tracking_uri(tmp_path)).trials()) == {1}
    assert not [*tmp_path.glob(".mlflow-*"), *cache.glob(".mlflow-*")]


def test_the_ui_command_serves_this_storage_on_this_machine_only(tmp_path: Path, store: Store) -> None:
    command, environment = ui_command(tmp_path, 5005)
    assert command[:5] == [sys.executable, "-P", "-m", "mlflow", "server"]
    options = dict(zip(command[5::2], command[6::2], strict=True))
    options.pop("--app-name", None)  # where the package is installed as it is now
    assert options == {"--host": "127.0.0.1", "--port": "5005", "--workers": "1"}
    assert environment["MLFLOW_BACKEND_STORE_URI"] == store.uri
    assert environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == (tmp_path / "mlartifacts").as_uri()
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_the_ui_command_shows_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://u:geheim@h/db")
    assert "geheim" not in " ".join(ui_command(tmp_path)[0])  # any user of the machine can list commands


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("./mlruns", "folder"),
        ("file:///a/mlruns", "folder"),
        ("postgres://u:geheim@h/db", "'postgres'"),
        ("localhost:5000", "http://HOST:5000"),
        ("http:/host", "no host"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_an_address_that_can_never_work_is_refused_with_what_to_set(
    uri: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match=says) as refused:
        check_store()
    assert "geheim" not in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 2


@pytest.mark.parametrize(
    "uri", ["", "http://h:1", "mysql+pymysql://h/d", "databricks", "databricks://p", "sqlite:///x"]
)
def test_other_addresses_may_work(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    check_store()


def test_the_ui_of_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    with pytest.raises(UserError, match="SQLite") as refused:
        ui_command(tmp_path)
    assert f"{tmp_path}/mlflow.db" in str(refused.value)
