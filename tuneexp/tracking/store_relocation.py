"""Correction of the absolute addresses in MLflow's default store after its folder was moved or copied.

The store's former folder is known from the artifact address of MLflow's default experiment, number 0.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

# Tables and columns of addresses below `mlartifacts`, and tags that name checkpoints in the storage.
_ADDRESSES = (
    ("experiments", "artifact_location", "TRUE"),
    ("runs", "artifact_uri", "TRUE"),
    ("logged_models", "artifact_location", "TRUE"),
    ("model_versions", "source", "TRUE"),
    ("model_versions", "storage_location", "TRUE"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)
_CHECKPOINT_TAGS = (
    ("tags", "value", "key = 'checkpoint'"),
    ("logged_model_tags", "tag_value", "tag_key = 'tuneexp.files.checkpoint'"),
)
BUSY_TIMEOUT_S = 20.0


def follow_folder(database: Path) -> None:
    """Replace the former folder by the current one in every address of the store. Idempotent."""
    here = database.parent
    root = _root_uri(here)
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)) as store:
        if not _has(store, "experiments") or _noted(store) == f"{root}/0":
            return
        with store:  # one transaction: a kill leaves all addresses as they were
            store.execute("BEGIN IMMEDIATE")
            for old in _earlier_folders(store, here):
                _rewrite(store, old, here)
            store.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", [f"{root}/0"])


def _root_uri(folder: Path) -> str:
    return (folder / "mlartifacts").as_uri()


def _noted(store: sqlite3.Connection) -> str:
    row = store.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
    return row[0] if row else ""


def _earlier_folders(store: sqlite3.Connection, here: Path) -> list[Path]:
    """The former folder of the store. In a store older than that record: folders that no longer exist."""
    noted = _folder_of(_noted(store).removesuffix("/0"))
    if noted is not None:
        return [noted]
    locations = [location for (location,) in store.execute("SELECT DISTINCT artifact_location FROM experiments")]
    folders = {folder for folder in map(_folder_of, locations) if folder is not None and folder != here}
    return [folder for folder in folders if not (folder / "mlartifacts").exists()] + [here]


def _folder_of(root: str) -> Path | None:
    """/a/runs of `file:///a/runs/mlartifacts` and of `/a/runs/mlartifacts`; None of anything else."""
    path = Path(unquote(root.removeprefix("file://")) if root.startswith("file://") else root)
    return path.parent if path.is_absolute() and path.name == "mlartifacts" else None


def _rewrite(store: sqlite3.Connection, old: Path, new: Path) -> None:
    # Older stores hold paths, which MLflow takes for URIs: they work only where no character is special.
    for before in (_root_uri(old), str(old / "mlartifacts")):
        _replace(store, _ADDRESSES, before, _root_uri(new))
    _replace(store, _CHECKPOINT_TAGS, str(old), str(new))


def _replace(store: sqlite3.Connection, where: tuple[tuple[str, str, str], ...], before: str, after: str) -> None:
    for table, column, condition in where:
        if _has(store, table):  # stores of older MLflow versions lack some
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {condition} AND ({column} = ? OR substr({column}, 1, ?) = ?)",
                [after, len(before) + 1, before, len(before) + 1, f"{before}/"],
            )


def _has(store: sqlite3.Connection, table: str) -> bool:
    found = store.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [table])
    return found.fetchone() is not None
