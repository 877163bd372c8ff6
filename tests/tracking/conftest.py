"""Real MLflow stores for the tracking tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking.helpers import Server, Store
from tuneexp.tracking import delivery_process


@pytest.fixture
def store(tmp_path: Path, fresh_database: Path) -> Store:
    """The default store: SQLite in the storage folder `tmp_path`."""
    shutil.copy(fresh_database, tmp_path / "mlflow.db")
    return Store(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def server(tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(tmp_path / "server", fresh_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """End the delivering processes that a test left running, by their handles."""
    yield
    for process in list(delivery_process._running.values()):
        process.kill()
        process.wait()
    delivery_process._running.clear()
