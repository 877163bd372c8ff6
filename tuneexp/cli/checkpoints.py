"""Lookup of a checkpoint by its path, a folder of checkpoints, a training or a sweep."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tuneexp.commands import command
from tuneexp.errors import UserError, nearest, shortened
from tuneexp.files.remote_folders import is_uri
from tuneexp.report.formatting import short_path


@dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint. trial: its number, if a sweep was named."""

    path: str
    sweep: str | None = None
    trial: int | None = None


def find_checkpoint(named: str, storage: str, trial: int | None = None) -> FoundCheckpoint:
    """Return the last checkpoint of a sweep's best trial (or trial number `trial`), or of a training's folder.

    Another path is returned as it is. UserError for an unknown trial."""
    from tuneexp.sweep.storage.folder import stored_at

    if not is_uri(named) and not _is_checkpoint(named):
        if (folder := stored_at(named, storage)) is not None:
            return _of_sweep(folder.name, short_path(str(folder.storage)), trial)
        if trial is None and (last := _last_in(named) or _last_in(os.path.join(storage, "train", named))):
            return FoundCheckpoint(last)
        if trial is None and "/" not in named:
            raise _nothing(named, storage)
    if trial is not None:
        raise UserError("--trial goes with the name of a sweep, such as tuneexp evaluate first --trial 3")
    return FoundCheckpoint(named)


def checkpoint_to_resume(named: Path, storage: str) -> Path:
    """Return the checkpoint of a path, or of a training by folder or name. UserError for a sweep, with its command."""
    from tuneexp.sweep.storage.folder import stored_at

    if is_uri(str(named)) or _is_checkpoint(str(named)):
        return named
    if (folder := stored_at(str(named), storage)) is None:
        return Path(find_checkpoint(str(named), storage).path)
    further, storage_path = "", short_path(str(folder.storage))
    try:
        best = _of_sweep(folder.name, storage_path, None)
        further = (
            f"\nor train its best trial on: {command('train', '--resume', short_path(best.path), '--env-steps', 'N')}"
        )
    except UserError:  # no trial has completed, or a file is damaged: the sweep can still be resumed
        pass
    again = command("resume", folder.name, storage=storage_path)
    raise UserError(f"{folder.name!r} is a sweep; continue it: {again}{further}")


def _is_checkpoint(path: str) -> bool:
    from tuneexp.files.checkpoint import STATE_FILE

    return os.path.lexists(os.path.join(path, STATE_FILE)) if "\0" not in path else False


def _last_in(folder: str) -> str | None:
    """Return the newest checkpoint in a folder. Names have the steps with leading zeros."""
    if "\0" in folder or not os.path.isdir(folder):
        return None
    return max((str(path) for path in Path(folder).glob("checkpoint_*") if _is_checkpoint(str(path))), default=None)


def _of_sweep(name: str, storage: str, number: int | None) -> FoundCheckpoint:
    from tuneexp.sweep import TrialResult, load_sweep

    result = load_sweep(name, storage)
    if number is None:
        if result.best is None and result.front:
            on_it = ", ".join(str(trial.trial_number) for trial in result.front)
            raise UserError(f"sweep {name!r} has several objectives; name a trial of its front with --trial: {on_it}")
        if result.best is None:
            raise UserError(
                f"no trial of sweep {name!r} has completed; name one with --trial N: "
                f"{command('show', name, storage=storage)}"
            )
        trial: TrialResult | None = result.best
    else:
        trial = next((one for one in result.trials if one.trial_number == number), None)
    if trial is None:
        raise UserError(f"sweep {name!r} has no trial {number}; see: {command('show', name, storage=storage)}")
    if not trial.checkpoint:
        raise UserError(f"trial {trial.trial_number} of sweep {name!r} has no checkpoint yet")
    return FoundCheckpoint(trial.checkpoint, name, trial.trial_number)


def _nothing(named: str, storage: str) -> UserError:
    from tuneexp.sweep.storage.folder import storage_folder

    folder = storage_folder(storage)
    known = [path.parent.name for path in folder.glob("*/sweep.json")]
    known += [path.name for path in (folder / "train").glob("*")]
    match = nearest(named, known)
    advice = f"did you mean {match!r}?" if match else f"see: {command('list', storage=storage)}"
    return UserError(f"{shortened(named)} is no checkpoint, and no sweep or training in {storage}; {advice}")
