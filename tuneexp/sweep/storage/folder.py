"""The folder of one sweep: its files, its name and its lock."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuneexp.commands import command
from tuneexp.errors import UserError, shortened
from tuneexp.files.locks import LockHeld, locked
from tuneexp.files.remote_folders import is_uri
from tuneexp.tracking.event_files import FOLDER
from tuneexp.tracking.store import outermost

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Names in a storage folder that are no sweeps: MLflow's database with its side files (-wal, -journal) and its lock, and
# the runs of `tuneexp train`. Some file systems ignore case.
_RESERVED = re.compile(r"(mlflow|tuneexp)([.].*)?|mlartifacts|mlruns|train", re.IGNORECASE)


@dataclass(frozen=True)
class SweepFolder:
    """`<storage>/<name>/`: `sweep.json` (configuration), `snapshot.zip` (state), `suggestions.jsonl`,
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
    def experiment_file(self) -> Path:
        """File for `tuneexp sweep FILE`, which repeats the sweep."""
        return self.path / "experiment.yaml"

    @property
    def snapshot_file(self) -> Path:
        return self.path / "snapshot.zip"

    @property
    def second_snapshot_file(self) -> Path:
        """A copy of `snapshot.zip`, a few seconds older, that survives a power cut."""
        return self.path / "snapshot.second.zip"

    @property
    def suggestions_file(self) -> Path:
        return self.path / "suggestions.jsonl"

    @property
    def study_file(self) -> Path:
        return self.path / "optuna.journal"

    @property
    def logs(self) -> Path:
        """Folder of the TensorBoard logs, if the sweep has them."""
        return self.path / FOLDER

    @property
    def lock_file(self) -> Path:
        return self.path / ".lock"

    @property
    def outermost(self) -> SweepFolder:
        """The sweep that contains this one, as a sweep contains its confirmations; else the same."""
        return SweepFolder(outermost(self.path))

    def command(self, verb: str, *words: object) -> str:
        """Return a command about this sweep. For one within another sweep it names that one."""
        sweep = self.outermost
        return command(verb, sweep.name, *words, storage=sweep.storage)

    def exists(self) -> bool:
        return self.config_file.is_file()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the sweep. UserError if another process holds it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.path} can't be created ({error.strerror}); choose another --name") from None
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.lock_file, wait=False))
            except LockHeld as error:
                raise UserError(
                    f"sweep {self.name!r} is running in process {error.holder or '?'}; "
                    f"wait for it, or stop it and write: {self.command('resume')}"
                ) from None
            yield


def sweep_folder(name: str, storage: str | Path) -> SweepFolder:
    """Return the folder of sweep `name`. UserError for a name that is not allowed."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        there = isinstance(name, str) and _is_stored(name, storage)
        advice = "rename its folder: use" if there else "use"
        raise UserError(
            f"sweep name {shortened(name)} is not allowed; {advice} letters, digits, '.', '_' and '-', such as 'first'"
        )
    return SweepFolder(storage_folder(storage) / name)


def stored_folder(name: str, storage: str | Path) -> SweepFolder:
    """Return the folder of a stored sweep by name or path. A folder that was renamed by hand may have any name."""
    return stored_at(name, storage) or sweep_folder(name, storage)


def stored_at(named: str, storage: str | Path) -> SweepFolder | None:
    """Return the sweep of this name in the storage, or at this path, which may be that of its experiment.yaml."""
    if isinstance(named, str) and _is_stored(named, storage):
        return SweepFolder(storage_folder(storage) / named)
    try:
        folder = SweepFolder(Path(os.path.abspath(os.path.expanduser(str(named)))))
    except FileNotFoundError:  # the working folder was deleted
        return None
    if folder.path.name in (folder.experiment_file.name, folder.config_file.name):
        folder = SweepFolder(folder.storage)
    return folder if os.path.isfile(folder.config_file) else None


def _is_stored(name: str, storage: str | Path) -> bool:
    plain = name not in ("", ".", "..") and "/" not in name and "\0" not in name
    return plain and os.path.isfile(SweepFolder(storage_folder(storage) / name).config_file)


def storage_folder(storage: str | Path, option: str = "--storage") -> Path:
    """Return the absolute path of the storage. UserError if it can't be a local folder."""
    if not isinstance(storage, str | os.PathLike):
        raise UserError(f"{option} is a folder, such as 'runs', got {storage!r}")
    text = str(storage)
    if is_uri(text):
        raise UserError(
            f"{option} {text!r}: sweeps are stored in a local folder\n"
            "only their checkpoints can be stored elsewhere: --checkpoints s3://bucket/folder"
        )
    if "\0" in text:
        raise UserError(f"{option} {text!r} can't be a folder: it contains a null character")
    try:
        return Path(text).expanduser().absolute()
    except FileNotFoundError:
        raise UserError(f"the working folder was deleted; write {option} with an absolute path") from None
    except RuntimeError:  # no home folder is known for "~"
        raise UserError(f"{option} {text!r}: there is no such home folder; write an absolute path") from None


def new_sweep_folder(name: str, storage: str | Path) -> SweepFolder:
    """Return the folder of a new sweep. UserError for a name that is used, reserved or not portable."""
    folder = sweep_folder(name, storage)
    if _RESERVED.fullmatch(name) or name.endswith("."):  # SMB drops a dot at the end
        raise UserError(f"sweep name {name!r} is reserved; write another --name, such as '{name.strip('.')}-sweep'")
    refuse_existing(folder)
    return folder


def refuse_existing(folder: SweepFolder) -> None:
    """Raise UserError if the folder exists: as a sweep, a file, a link or another folder."""
    if folder.exists():
        raise UserError(
            f"sweep {folder.name!r} exists already; continue it: "
            f"{folder.command('resume')}\n"
            f"or start another one: {command('sweep', '--name', _free_name(folder), storage=folder.storage)} ..."
        )
    if folder.path.is_symlink():
        raise UserError(f"{folder.path} is a symbolic link; choose another --name, or its folder with --storage")
    if folder.path.exists() and (not folder.path.is_dir() or _holds_more_than_a_lock(folder)):
        raise UserError(f"{folder.path} exists and is no sweep; choose another --name or --storage")


def _holds_more_than_a_lock(folder: SweepFolder) -> bool:
    return any(path != folder.lock_file for path in folder.path.iterdir())


def _free_name(folder: SweepFolder) -> str:
    stem = (folder.name.rstrip("0123456789").rstrip("-") or folder.name)[:120]
    number = 2
    while (folder.storage / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


def writable_storage(storage: str | Path, option: str = "--storage") -> Path:
    """Return the absolute path of the storage, created if missing. UserError, with `option`, if it can't be written."""
    path = storage_folder(storage, option)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".write-test-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(storage, option, error.strerror) from None
    return path


def refuse_unwritable(storage: str | Path, option: str = "--storage") -> None:
    """Raise UserError as `writable_storage` does, by the permissions of the folder that exists. Creates nothing."""
    path = storage_folder(storage, option)
    existing = next(one for one in (path, *path.parents) if one.exists())
    if not existing.is_dir():
        raise _unwritable(storage, option, os.strerror(errno.ENOTDIR))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _unwritable(storage, option, os.strerror(errno.EACCES))


def _unwritable(storage: str | Path, option: str, reason: str | None) -> UserError:
    return UserError(f"{option} {str(storage)!r} can't be written ({reason}); choose another with {option} FOLDER")
