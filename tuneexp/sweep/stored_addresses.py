"""Checkpoints by address: a path, a URI, a training, a sweep or one of its trials, a run or model of MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuneexp.commands import command
from tuneexp.errors import CheckpointError, UserError, nearest, shortened
from tuneexp.files.checkpoint import STATE_FILE
from tuneexp.files.remote_folders import is_uri
from tuneexp.files.temporary import temporary_folder
from tuneexp.report.formatting import short_path
from tuneexp.sweep.results import SweepResult, load_sweep
from tuneexp.sweep.storage.folder import SweepFolder, storage_folder, stored_at
from tuneexp.tracking.stored_models import FORMS as MLFLOW_FORMS
from tuneexp.tracking.stored_models import Origin, fetch_checkpoint, is_in_mlflow

FORMS = (
    "a checkpoint folder, s3://bucket/folder, NAME (the best trial of a sweep, or a training), NAME/3 (trial 3), "
    f"{MLFLOW_FORMS}"
)


@dataclass(frozen=True)
class StoredCheckpoint:
    """Checkpoint that an address names.

    Attributes:
        address: The address.
        path: Path or URI of the checkpoint.
        sweep: Name of its sweep; None: it is named otherwise.
        trial: Number of its trial in the sweep.
        origin: Run and model of MLflow; None: it does not come from MLflow.
    """

    address: str
    path: str
    sweep: str | None = None
    trial: int | None = None
    origin: Origin | None = None

    def __str__(self) -> str:
        of_sweep = "" if self.sweep is None else f"trial {self.trial} of sweep {self.sweep}: "
        return of_sweep + short_path(self.path)


@contextmanager
def stored_checkpoint(address: str | Path, storage: str | Path = "runs") -> Iterator[StoredCheckpoint]:
    """Find the checkpoint of an address.

    Args:
        address: As of `load_policy`.
        storage: Folder that holds the sweeps and trainings.

    Returns:
        A context manager of the checkpoint, which is there until the end of the context.

    Raises:
        UserError: The address names no checkpoint.
    """
    named = str(address)
    if not is_in_mlflow(named):
        yield local_checkpoint(named, storage)
        return
    with temporary_folder() as folder:
        path, origin = fetch_checkpoint(named, storage, folder)
        try:
            yield StoredCheckpoint(named, path, origin=origin)
        except UserError as error:  # in place of the temporary path, which is gone when it is read
            raise type(error)(str(error).replace(path, named)) from error


def local_checkpoint(address: str, storage: str | Path) -> StoredCheckpoint:
    """Return the checkpoint of an address that is no address in MLflow."""
    if "\0" in address:
        raise UserError(f"{shortened(address)} is no address; write {FORMS}")
    if is_uri(address) or _is_checkpoint(address):
        return StoredCheckpoint(address, address)
    if (folder := stored_at(address, storage)) is not None:
        return _of_sweep(address, folder, None)
    if last := _last_in(address) or _last_in(os.path.join(storage, "train", address)):
        return StoredCheckpoint(address, last)
    name, _, number = address.rpartition("/")
    if number.isdecimal() and (folder := stored_at(name, storage)) is not None:
        return _of_sweep(address, folder, int(number))
    raise _nothing(address, storage)


def _is_checkpoint(path: str) -> bool:
    return os.path.lexists(os.path.join(path, STATE_FILE))


def _last_in(folder: str) -> str | None:
    """Return the newest checkpoint in a folder. Names have the steps with leading zeros."""
    if not os.path.isdir(folder):
        return None
    return max((str(path) for path in Path(folder).glob("checkpoint_*") if _is_checkpoint(str(path))), default=None)


def _of_sweep(address: str, folder: SweepFolder, number: int | None) -> StoredCheckpoint:
    result = load_sweep(str(folder.path))
    show = command("show", folder.name, storage=short_path(str(folder.storage)))
    if number is None:
        if result.best is None:
            raise _no_best(address, result, show)
        trial = result.best
    else:
        found = [one for one in result.trials if one.trial_number == number]
        if not found:
            last = max((one.trial_number for one in result.trials), default=None)
            there = "it has none yet" if last is None else f"the last one is {address.rpartition('/')[0]}/{last}"
            raise UserError(f"sweep {folder.name!r} has no trial {number}; {there}; see: {show}")
        trial = found[0]
    if not trial.checkpoint:
        why = "has no checkpoint yet" if trial.outcome is None else "has no checkpoint (any more: --checkpoint-quota)"
        raise UserError(f"trial {trial.trial_number} of sweep {folder.name!r} {why}")
    return StoredCheckpoint(address, trial.checkpoint, folder.name, trial.trial_number)


def _no_best(address: str, result: SweepResult, show: str) -> UserError:
    if result.front:
        on_it = ", ".join(f"{address}/{trial.trial_number}" for trial in result.front)
        return UserError(f"sweep {result.name!r} has several objectives; name a trial of its front: {on_it}")
    return UserError(f"no trial of sweep {result.name!r} has completed; name one, such as {address}/0; see: {show}")


def _nothing(address: str, storage: str | Path) -> UserError:
    if os.path.isdir(address):
        return CheckpointError(f"{shortened(address)} is no checkpoint: it holds no {STATE_FILE}; write {FORMS}")
    folder = storage_folder(storage)
    known = [path.parent.name for path in folder.glob("*/sweep.json")]
    known += [path.name for path in (folder / "train").glob("*")]
    name, _, number = address.rpartition("/")
    match = nearest(name if number.isdecimal() and name else address, known)
    match = f"{match}/{number}" if match and number.isdecimal() and name else match
    advice = f"did you mean {match!r}?" if match else f"see: {command('list', storage=storage)}"
    return UserError(f"{shortened(address)} is no checkpoint, and no sweep or training in {storage}; {advice}")
