"""Unusable stores: reported at the start, in one line with the address and the setting to change."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.tracking.helpers import kill_delivery, make_callback, run_trial
from tests.waiting import wait_until
from tuneexp.tracking.delivery import Delivery
from tuneexp.tracking.outbox import Position, load_position, outbox_folder, save_position
from tuneexp.tracking.store import tracking_uri

PATIENCE_S = 60.0
NOBODY = 65534


def why(folder: Path) -> str:
    """Message of the delivering process about the store in `folder`."""
    outbox_folder(folder / "first").mkdir(parents=True, exist_ok=True)
    delivery = Delivery(folder / "first", lambda kind, text: None)
    with pytest.raises(Exception) as error:  # MLflow, SQLAlchemy and drivers have their own
        delivery.connect()
    assert isinstance(error.value, Exception)
    return delivery.failed(error.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    assert why(tmp_path).startswith(f"{tmp_path}/mlflow.db is no intact SQLite database; ")


def test_a_database_of_another_mlflow_version_is_reported_with_the_command_that_upgrades_it(
    tmp_path: Path, fresh_database: Path
) -> None:
    (tmp_path / "mlflow.db").write_bytes(fresh_database.read_bytes())
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'bd07f7e963c5'")
    assert f"mlflow db upgrade 'sqlite:///{tmp_path}/mlflow.db'" in why(tmp_path)


@contextmanager
def another_user() -> Iterator[None]:
    """Become another user for a while: permissions don't apply to root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_database_of_another_user_is_reported_with_what_to_set(
    mode: int, tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Path("/tmp") / f"tuneexp-{os.getpid()}-{mode}.db"  # pytest's own folders are closed to others
    store.write_bytes(fresh_database.read_bytes())
    store.chmod(mode)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    outbox_folder(tmp_path / "first").mkdir(parents=True)
    delivery = Delivery(tmp_path / "first", lambda kind, text: None)
    try:
        with another_user(), pytest.raises(sqlite3.Error) as error:
            delivery.connect()
    finally:
        store.unlink()
    text = delivery.failed(error.value)
    assert text.startswith(f"{store} can't be read and written by this user")
    assert "MLFLOW_TRACKING_URI" in text


@contextmanager
def http_server(code: int) -> Iterator[str]:
    """A server that replies to every request with `code`. Yields its address, with credentials."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(b"<html>no</html>")

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://me:geheim@127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "says"), [(401, "MLFLOW_TRACKING_PASSWORD"), (403, "MLFLOW_TRACKING_TOKEN"), (404, "no MLflow server")]
)
def test_a_server_that_refuses_is_reported_with_the_variables_to_set(
    code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server(code) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        text = why(tmp_path)
    assert says in text
    assert text.startswith(uri.replace("geheim", "***"))


def test_a_database_whose_driver_is_missing_is_reported_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mysql+nosuchdriver://u:geheim@127.0.0.1:1/db?password=geheim")
    text = why(tmp_path)
    assert "nosuchdriver" in text
    assert "geheim" not in text


def test_a_store_that_cannot_work_is_reported_once_at_the_start_and_a_mended_one_gets_everything(
    tmp_path: Path, fresh_database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    callback = make_callback(tmp_path)
    with caplog.at_level(logging.WARNING, "tuneexp"):
        callback.start()
        wait_until(lambda: caplog.records)  # before anything is reported
        run_trial(callback, 1, 500)
        left = callback.finish([], None, None, 1.0)
    (line,) = caplog.messages
    assert f"{tmp_path}/mlflow.db is no intact" in line
    assert "\n" not in line
    assert left is not None
    assert "no intact" in left.reason
    (tmp_path / "mlflow.db").write_bytes(fresh_database.read_bytes())
    assert make_callback(tmp_path).finish([], None, None, PATIENCE_S) is None


def test_the_reason_of_an_earlier_process_is_not_shown_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        callback = make_callback(tmp_path)
        run_trial(callback, 1, 500)
        save_position(tmp_path / "first", Position(store=tracking_uri(tmp_path), last_error="an old reason"))
        (tmp_path / "first" / "outbox" / "delivery.log").write_text("OldError: an old reason\n")
        kill_delivery(tmp_path / "first")
        left = callback.finish([], None, None, 0.5)
    assert left is not None
    assert "old" not in left.reason
    assert "old" not in load_position(tmp_path / "first").last_error


@pytest.mark.slow
def test_the_time_limit_of_delivery_begins_when_mlflow_is_loaded(
    tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.db").write_bytes(fresh_database.read_bytes())
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text("import time; time.sleep(8)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "slow"))
    callback = make_callback(tmp_path)
    run_trial(callback, 1, 500)
    assert callback.finish([], None, None, 7.0) is None
