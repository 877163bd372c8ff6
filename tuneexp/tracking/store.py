"""MLflow's store: SQLite and a folder within the storage, or the store in MLFLOW_TRACKING_URI."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tuneexp.errors import UserError
from tuneexp.files.locks import locked
from tuneexp.processes import SAFE_PATH, without_proxy_on_loopback
from tuneexp.security.masking import masked
from tuneexp.tracking.empty_database import copy_empty_database, sqlite_uri
from tuneexp.tracking.store_errors import check_sqlite, reason
from tuneexp.tracking.store_relocation import follow_folder
from tuneexp.tracking.ui_app import ENTRY_POINT
from tuneexp.tracking.ui_app import NAME as UI_APP

_DATABASE = re.compile(r"^(sqlite|postgresql|mysql|mssql)(\+\w+)?:")
_SQLITE_IN_MEMORY = re.compile(r"sqlite(\+\w+)?:(//)?(/?|/:memory:)(\?.*)?", re.I)
_HOSTED = {"databricks", "databricks-uc", "uc"}  # names of services, with or without something behind a colon
_SQLITE_FILE = re.compile(r"sqlite(?:\+pysqlite)?:///(?!file:|:memory:)([^?]+)", re.I)


def outermost(sweep_folder: Path | str) -> Path:
    """Folder of the sweep that contains this one, as a sweep contains its confirmations; else the same folder."""
    folder = Path(sweep_folder)
    while (folder.parent / "sweep.json").is_file() and not (folder.parent / "mlflow.db").is_file():
        folder = folder.parent
    return folder


def storage_of(sweep_folder: Path | str) -> Path:
    """Folder that holds a sweep and the default store."""
    return outermost(sweep_folder).parent


def tracking_uri(storage: Path | str) -> str:
    """URI of the store, absolute: the UI and the delivering process may run in other folders."""
    chosen = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    file = _SQLITE_FILE.fullmatch(chosen)
    if file:
        return sqlite_uri(Path(os.path.abspath(unquote(file[1]))))
    return chosen or sqlite_uri(_database(storage))


def artifact_root(storage: Path | str) -> str | None:
    """URI of the artifact folder if the store is a database; None if a server manages artifacts."""
    return (Path(storage).resolve() / "mlartifacts").as_uri() if _DATABASE.match(tracking_uri(storage)) else None


def check_store() -> None:
    """Check MLFLOW_TRACKING_URI without opening it.

    Raises:
        UserError: The URI can't be a store for runs."""
    uri = tracking_uri("")
    scheme = uri.partition(":")[0].lower() if ":" in uri else ""
    if _SQLITE_IN_MEMORY.fullmatch(uri):
        problem = "keeps nothing: it is in memory"
    elif scheme in ("", "file") and uri not in _HOSTED and os.environ.get("MLFLOW_ALLOW_FILE_STORE") != "true":
        problem = "is a folder, and MLflow keeps runs in folders no more"
    elif scheme in ("http", "https") and not urlsplit(uri).hostname:
        problem = "names no host"
    elif scheme and not _DATABASE.match(uri) and scheme not in {"http", "https", "file", "arn", *_HOSTED, *_plugins()}:
        problem = f"can't be used: MLflow knows no {scheme!r}"
    else:
        return
    raise UserError(
        f"MLFLOW_TRACKING_URI={masked(uri)} {problem}; unset it for a database in the storage, or set it to\n"
        "http://HOST:5000, postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////FOLDER/mlflow.db"
    )


def _plugins() -> set[str]:
    return {plugin.name for plugin in entry_points(group="mlflow.tracking_store")}


def ui_command(storage: Path | str, port: int = 5000) -> tuple[list[str], dict[str, str]]:
    """Command of the MLflow UI on this storage, and its environment. It serves this machine only.

    The store's address is in the environment, since all users can read command lines.

    Raises:
        UserError: A server has the runs, or the database can't be used."""
    check_store()
    uri, root = tracking_uri(storage), artifact_root(storage)
    if root is None:
        raise UserError(f"the runs are on the server that MLFLOW_TRACKING_URI names: open {masked(uri)}")
    try:
        check_sqlite(uri)
        prepare(storage)
    except sqlite3.Error as error:
        raise UserError(reason(error, uri)) from None
    environment = {
        **without_proxy_on_loopback(os.environ),
        **SAFE_PATH,
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": root,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    # Missing or another one if the code is newer than its installation: then MLflow's own pages are used.
    known = ENTRY_POINT in {plugin.value for plugin in entry_points(group="mlflow.app")}
    flags = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", *(["--app-name", UI_APP] if known else [])]
    return [sys.executable, "-P", "-m", "mlflow", "server", *flags], environment


def default_store_has(storage: Path | str, run_id: str) -> bool:
    """True if the storage's own database has this run, also after the storage was moved."""
    database = _database(storage)
    if tracking_uri(storage) != sqlite_uri(database) or not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as store:
            return store.execute("SELECT 1 FROM runs WHERE run_uuid = ?", [run_id]).fetchone() is not None
    except sqlite3.Error:
        return False


def open_client(storage: Path | str) -> Any:
    """Create an `MlflowClient`, and the store if it is missing. Imports MLflow (1 to 3 s)."""
    from mlflow import MlflowClient

    prepare(storage)
    return MlflowClient(tracking_uri(storage))


def without_long_retries() -> None:
    """Try to open a database once. MLflow retries ten times (100 s) and has no setting for it."""
    import mlflow.store.db.utils

    mlflow.store.db.utils.MAX_RETRY_COUNT = 1


def has_store(storage: Path | str) -> bool:
    """Return False if the store is an SQLite file that does not exist."""
    file = _SQLITE_FILE.fullmatch(tracking_uri(storage))
    return file is None or Path(unquote(file[1])).is_file()


def prepare(storage: Path | str) -> None:
    """Create the default store if it is missing, and correct its addresses if it was moved. Other stores are not
    changed.

    MLflow creates the tables in some 70 steps, without a lock or a transaction: two processes at once both fail, and a
    kill leaves an unusable file. So a lock is held, and the database is renamed into place when it is complete."""
    database = _database(storage)
    if tracking_uri(storage) != sqlite_uri(database):
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with locked(database.parent / "mlflow.lock"):
        if not database.exists():
            _make_database(database)
        follow_folder(database)


def _make_database(path: Path) -> None:
    for left_by_a_kill in path.parent.glob(".mlflow-*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    with TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as folder:
        new = Path(folder) / path.name
        copy_empty_database(new)
        new.rename(path)


def _database(storage: Path | str) -> Path:
    return Path(storage).resolve() / "mlflow.db"
