"""Where MLflow keeps things: SQLite and a folder inside the storage, unless MLFLOW_TRACKING_URI says otherwise."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote

from tuneexp.errors import UserError
from tuneexp.locks import locked
from tuneexp.tracking.moved import follow_folder

_DATABASE = re.compile(r"^(sqlite|postgresql|mysql|mssql)(\+\w+)?:")
_SQLITE_FILE = re.compile(r"sqlite(?:\+pysqlite)?:///(?!file:|:memory:)([^?]+)", re.I)


def tracking_uri(storage: Path | str) -> str:
    """Absolute: the UI and the delivering process may run in other folders."""
    chosen = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    file = _SQLITE_FILE.fullmatch(chosen)
    if file:
        return _sqlite_uri(Path(os.path.abspath(unquote(file[1]))))
    return chosen or _sqlite_uri(_database(storage))


def artifact_root(storage: Path | str) -> str | None:
    """The folder for artifacts, as a URI, where the store is a database; None where a server decides itself."""
    return (Path(storage).resolve() / "mlartifacts").as_uri() if _DATABASE.match(tracking_uri(storage)) else None


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
    """An `MlflowClient` on the store, whose tables exist afterwards. Imports MLflow (1 to 3 s)."""
    from mlflow import MlflowClient

    prepare(storage)
    return MlflowClient(tracking_uri(storage))


def prepare(storage: Path | str) -> None:
    """Make the default store if it is missing, and let it follow its folder; other stores are left alone.

    MLflow makes the tables of a fresh database in some 70 steps, without a lock and not as one transaction: two
    processes that do so at once both fail, and a kill leaves a file that can't be used any more. So one at a time (the
    kernel frees the lock of one that is killed), and under another name until it is whole."""
    database = _database(storage)
    if tracking_uri(storage) != _sqlite_uri(database):
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with locked(database.parent / "mlflow.lock"):
        if not database.exists():
            _make_database(database)
        follow_folder(database)


def _make_database(path: Path) -> None:
    from mlflow import MlflowClient

    for left_by_a_kill in path.parent.glob(".mlflow-*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    with TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as folder:
        MlflowClient(_sqlite_uri(Path(folder) / path.name))
        (Path(folder) / path.name).rename(path)


def _database(storage: Path | str) -> Path:
    return Path(storage).resolve() / "mlflow.db"


def _sqlite_uri(path: Path) -> str:
    """SQLAlchemy unquotes the path, but MLflow makes the folder of one behind `sqlite:///` without doing so. It leaves
    folders alone where the URI names the driver."""
    quoted = quote(os.fsencode(path))
    return f"sqlite:///{path}" if quoted == str(path) else f"sqlite+pysqlite:///{quoted}"
