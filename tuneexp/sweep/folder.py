"""The folder of one sweep: what lies where, atomic writes, and the lock that keeps two processes apart."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import replace
from pathlib import Path
from typing import Any

from tuneexp.errors import UserError
from tuneexp.locks import LockHeld, locked

# Taken by what lies beside the sweeps in a storage folder.
RESERVED_NAMES = frozenset({"mlartifacts", "mlruns", "mlflow.db"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class SweepFolder:
    """`<storage>/<name>/`: `sweep.json` (what was asked), `snapshot.zip` (where it stands), `suggestions.jsonl`,
    Tune's own experiment files and one folder per trial."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def storage(self) -> Path:
        return self.path.parent

    @property
    def config_file(self) -> Path:
        return self.path / "sweep.json"

    @property
    def snapshot_file(self) -> Path:
        return self.path / "snapshot.zip"

    @property
    def suggestions_file(self) -> Path:
        return self.path / "suggestions.jsonl"

    @property
    def study_file(self) -> Path:
        return self.path / "optuna.journal"

    @property
    def lock_file(self) -> Path:
        return self.path / ".lock"

    def exists(self) -> bool:
        return self.config_file.is_file()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the sweep; UserError where another process does. The kernel drops the lock with the process."""
        self.path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.lock_file, wait=False))
            except LockHeld as error:
                raise UserError(
                    f"sweep {self.name!r} is running in process {error.holder or '?'}; "
                    f"wait for it, or stop it and write: tuneexp resume {self.name} --storage {self.storage}"
                ) from None
            yield


def sweep_folder(name: str, storage: str | Path) -> SweepFolder:
    """The folder of sweep `name`; raises UserError for a name that is no plain folder name."""
    if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
        raise UserError(
            f"sweep name {name!r} can't be a folder here; write letters, digits, '.', '_' and '-', such as 'first'"
        )
    return SweepFolder(Path(storage).expanduser().absolute() / name)


def writable_storage(storage: str | Path, option: str = "--storage") -> Path:
    """`storage`, absolute, made where missing. UserError where nothing can be written there; it names `option`."""
    path = Path(storage).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".write-test-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{option} {str(storage)!r} can't be written ({error.strerror}); choose another with {option} FOLDER"
        ) from None
    return path


def write_atomically(path: Path, data: bytes) -> None:
    """`path` holds the old bytes or all the new ones, whatever kills this process."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    replace(temporary, path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def remove(path: Path) -> None:
    """Delete a file or folder that may be gone already."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
