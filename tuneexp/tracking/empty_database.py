"""SQLite databases with MLflow's empty tables, which take MLflow seconds to create.

They are created once for each version of MLflow, in the cache, and copied from there."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from tuneexp.files.locks import LockError, locked
from tuneexp.files.user_cache import user_cache


def copy_empty_database(path: Path) -> None:
    """Create `path`, a new database. Its folder must exist. Without a cache MLflow creates the tables."""
    with suppress(OSError, LockError):
        shutil.copyfile(_template(), path)
        return
    path.unlink(missing_ok=True)
    _create_tables(path)


def _template() -> Path:
    """Return the database of the cache. OSError or LockError if there is none and it can't be created."""
    folder = user_cache()
    template = folder / f"mlflow-{version('mlflow')}-sqlalchemy-{version('sqlalchemy')}.db"
    if not template.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "mlflow.lock"):
            if not template.exists():
                for left_by_a_kill in folder.glob(".mlflow-*"):
                    shutil.rmtree(left_by_a_kill, ignore_errors=True)
                with TemporaryDirectory(dir=folder, prefix=".mlflow-") as temporary:
                    new = Path(temporary) / template.name
                    _create_tables(new)
                    new.rename(template)
    return template


def _create_tables(path: Path) -> None:
    from mlflow import MlflowClient

    MlflowClient(sqlite_uri(path))


def sqlite_uri(path: Path) -> str:
    """URI of a SQLite file. SQLAlchemy unquotes the path, but MLflow creates the folder of a `sqlite:///` URI from the
    quoted one. It does not if the URI names the driver."""
    quoted = quote(os.fsencode(path))
    return f"sqlite:///{path}" if quoted == str(path) else f"sqlite+pysqlite:///{quoted}"
