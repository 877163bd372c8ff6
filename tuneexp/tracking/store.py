"""Where MLflow keeps things: SQLite and a folder inside the storage, unless MLFLOW_TRACKING_URI says otherwise."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from tuneexp.errors import UserError
from tuneexp.locks import locked

_DATABASE = re.compile(r"^(sqlite|postgresql|mysql|mssql)(\+\w+)?:")


def tracking_uri(storage: Path | str) -> str:
    """Absolute: the UI and the delivering process may run in other folders."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(_database(storage))


def artifact_root(storage: Path | str) -> str | None:
    """The folder for artifacts where the store is a database; None where a server decides itself."""
    return str(Path(storage).resolve() / "mlartifacts") if _DATABASE.match(tracking_uri(storage)) else None


def shown_uri(uri: str) -> str:
    """`uri` without its password, for messages and files."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", uri)


def ui_command(storage: Path | str, port: int = 5000) -> list[str]:
    """The command of the MLflow UI on this storage, on this machine only. Raises `UserError` where a server has it."""
    uri = tracking_uri(storage)
    root = artifact_root(storage)
    if root is None:
        raise UserError(f"the runs are on the server that MLFLOW_TRACKING_URI names: open {shown_uri(uri)}")
    prepare(storage)
    options = {"backend-store-uri": uri, "default-artifact-root": root, "host": "127.0.0.1", "port": str(port)}
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [sys.executable, "-m", "mlflow", "server", *flags, "--workers", "1"]


def open_client(storage: Path | str) -> Any:
    """An `MlflowClient` on the store, whose tables exist afterwards. Imports MLflow (1 to 3 s).

    MLflow makes the tables of a fresh database in some 70 steps, without a lock and not as one transaction: two
    processes that do so at once both fail, and a kill leaves a file that can't be used any more. So one at a time (the
    kernel frees the lock of one that is killed), and under another name until it is whole."""
    from mlflow import MlflowClient

    uri = tracking_uri(storage)
    if not _DATABASE.match(uri):
        return MlflowClient(uri)
    folder = Path(storage).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "mlflow.lock"):
        if _is_default(storage) and not _database(storage).exists():
            _make_database(_database(storage))
        return MlflowClient(uri)


def _make_database(path: Path) -> None:
    from mlflow import MlflowClient

    for left_by_a_kill in path.parent.glob(".mlflow-*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    with TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as folder:
        MlflowClient(_sqlite_uri(Path(folder) / path.name))
        (Path(folder) / path.name).rename(path)


def prepare(storage: Path | str) -> None:
    """Make the default store if it is missing, so that a server and a sweep don't make it at the same time."""
    if _is_default(storage) and not _database(storage).exists():
        open_client(storage)


def _database(storage: Path | str) -> Path:
    return Path(storage).resolve() / "mlflow.db"


def _sqlite_uri(path: Path) -> str:
    # MLflow unquotes it.
    return f"sqlite:///{quote(str(path))}"


def _is_default(storage: Path | str) -> bool:
    return tracking_uri(storage) == _sqlite_uri(_database(storage))
