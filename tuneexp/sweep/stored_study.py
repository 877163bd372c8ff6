"""Optuna's study of a sweep, from its last snapshot. Needs no Ray and no MLflow."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from tuneexp.errors import UserError
from tuneexp.files.json_reading import DamagedFile
from tuneexp.security.trust import addresses_in, require_trusted
from tuneexp.sweep.search import choice
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder, stored_folder
from tuneexp.sweep.sweep_config import SweepConfig, read_config

if TYPE_CHECKING:
    import optuna


def load_study(
    name: str, storage: str | Path = "runs", trust: bool = False, results_only: bool = False
) -> optuna.Study:
    """Load Optuna's study of a sweep as of the last snapshot, for Optuna's plots and importances.

    Each trial that has ended has the user attribute `outcome`. One that diverged, or ran out of memory or time, is
    COMPLETE with the worst value so far and violates the constraint `outcome`.

    Args:
        name: Name of the sweep, or path of its folder.
        storage: Folder that holds the sweep's folder.
        trust: Unpickle a snapshot that this user did not sign.
        results_only: Return such trials as FAIL: Optuna's importances count each completed trial.

    Returns:
        The study.

    Raises:
        UserError: There is no such sweep, it has no trials yet, or its snapshot or its own sampler is not trusted.
    """
    folder = stored_folder(name, storage)
    _import_own_sampler(read_config(folder), folder, trust)
    study = study_of(folder, trust)
    if results_only:
        from tuneexp.sweep.search.samplers.without_result import set_failed

        set_failed(study)
    return study


def _import_own_sampler(config: SweepConfig, folder: SweepFolder, trust: bool) -> None:
    """Import a sampler of the user's, whose class the study refers to by a module that only this import creates."""
    if named := addresses_in({"searcher": config.searcher}):
        from tuneexp.sweep.search.samplers.own import class_at

        again = ("resume", folder.name, "--storage", folder.storage)
        require_trusted(named, f"the sweep {folder.name!r}", again, trust)
        class_at(choice.parts(config.searcher)[0])


def no_trials_yet(folder: SweepFolder) -> UserError:
    """Return the error about a sweep without a snapshot."""
    again = folder.command("resume")
    return UserError(f"sweep {folder.name!r} has no trials yet; start them with: {again}")


def study_of(folder: SweepFolder, trust: bool = False) -> optuna.Study:
    """Return Optuna's study in the last snapshot. UserError before the first snapshot."""
    state = snapshot.read_searcher_state(folder, trust)
    if state is None:
        raise no_trials_yet(folder)
    try:
        study: optuna.Study = pickle.loads(state)["study"]
    except Exception as error:  # a damaged pickle can raise anything
        raise DamagedFile(folder.snapshot_file, f"state of the searcher: {type(error).__name__}: {error}") from None
    return study
