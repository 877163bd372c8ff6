"""`extend`: run a sweep further than it was asked to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.commands import command
from tuneexp.config import seconds_of
from tuneexp.errors import UserError
from tuneexp.files.locks import is_held
from tuneexp.sweep.cluster.capacity import resolved_here
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.experiment.writing import write_experiment
from tuneexp.sweep.extension import Extension, extended, within_combinations
from tuneexp.sweep.nesting_check import refuse_nested_sweep
from tuneexp.sweep.results import SweepResult, ending_in
from tuneexp.sweep.resuming import (
    checked_stored_space,
    folder_of,
    recover_files,
    refuse_changed_space,
    reopen,
    report_changed_sources,
    require_trust_of,
)
from tuneexp.sweep.run import run_in_ray
from tuneexp.sweep.search.choice import POPULATIONS, parts
from tuneexp.sweep.search.stopping_rules import SearchState
from tuneexp.sweep.signals import interruptible
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.sweep.stored_study import no_trials_yet
from tuneexp.sweep.sweep_config import SweepConfig, read_config, save_config
from tuneexp.sweep.user_callbacks import callback_list
from tuneexp.sweep.writable import check_writable

if TYPE_CHECKING:
    from ray.tune import Callback


def extend(
    name: str,
    storage: str | Path = "runs",
    trials: int | None = None,
    *,
    time_budget_s: float | str | None = None,
    until: float | str | None = None,
    stagnation: int | str | None = None,
    space: Any = None,
    on_event: Watcher | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
    address: str | None = None,
    trust: bool = False,
) -> SweepResult:
    """Run a sweep further than it was asked to. After a kill, `resume` continues to the new end.

    Args:
        name: Name of the sweep, or path of its folder. It has ended or was interrupted.
        storage: Folder that holds the sweep's folder.
        trials: Number of trials more.
        time_budget_s: Time more, in seconds or as a text such as "2h".
        until: New objective that ends the sweep; "none" removes the rule.
        stagnation: New number of trials in a row without a better one that ends the sweep; "none" removes the rule.
        space: Search space with other bounds of ranges, for the samplers tpe and random.
        on_event: Function that is called with each `SweepEvent`.
        callbacks: Tune callbacks of your own; they must be picklable.
        verbose: Show the log output of Ray.
        address: Another Ray cluster ("local": this machine). It must have access to the checkpoints.
        trust: Run the code that the sweep names and unpickle its snapshot, and remember them as trusted.

    Returns:
        The result.

    Raises:
        UserError: There is no such sweep, another process runs it, or it can't be extended so.
        SweepInterrupted: A signal ended the sweep; its state is saved.
    """
    refuse_nested_sweep()
    callbacks, folder = callback_list(callbacks), folder_of(name, storage)
    config = read_config(folder)
    asked = Extension(_positive(trials), _seconds(time_budget_s), until, stagnation, space)
    refuse_running(folder)
    extended_config(folder, asked)  # refused before anything is written
    require_trust_of(config, folder, address, {}, trust, "extend")
    check_writable(folder, config)
    with folder.lock(), interruptible(folder):
        recover_files(folder, config, trust)
        longer, search = _extended(folder, asked)
        new_space = checked_stored_space(longer, folder)
        longer = within_combinations(longer, new_space, search)
        refuse_changed_space(longer, new_space, folder)
        here = report_changed_sources(longer if address is None else longer.model_copy(update={"address": address}))
        write = partial(_store_extended, folder, longer, callbacks)
        return run_in_ray(resolved_here(here, new_space), folder, new_space, callbacks, on_event, verbose, write)


def extended_config(folder: SweepFolder, asked: Extension) -> SweepConfig:
    """Return the configuration of a sweep that is extended. UserError if it can't be extended so."""
    return _extended(folder, asked)[0]


def _extended(folder: SweepFolder, asked: Extension) -> tuple[SweepConfig, SearchState]:
    config, found = read_config(folder), snapshot.load(folder)
    if asked.trials and parts(config.scheduler)[0] in POPULATIONS:
        raise UserError(
            "the members of a population are trained together, so none can join later; start another sweep with more "
            f"--trials: {command('sweep', folder.experiment_file, '--trials', (config.trials or 0) + asked.trials)}"
        )
    search = _search_state(folder, found)
    return extended(config, search, ending_in(found, config), asked), search


def refuse_running(folder: SweepFolder) -> None:
    """Raise UserError if another process runs the sweep."""
    if is_held(folder.lock_file):
        with folder.lock():  # its message names the process
            pass


def _positive(trials: int | None) -> int | None:
    if trials is not None and (not isinstance(trials, int) or trials < 1):
        raise UserError(f"trials is the number of trials to add, at least 1, got {trials!r}")
    return trials


def _seconds(duration: float | str | None) -> float | None:
    try:
        return seconds_of(duration) if isinstance(duration, str) else duration
    except ValueError as error:
        raise UserError(f"time_budget_s: {error}") from None


def _search_state(folder: SweepFolder, found: Snapshot | None) -> SearchState:
    if found is None:
        raise no_trials_yet(folder)
    if found.search is None or found.search.tally.suggested is None:
        raise UserError(
            f"sweep {folder.name!r} was run by an earlier version, which stored too little to extend it\n"
            f"start another sweep, which may learn from this one: {command('sweep', '--warm-start', folder.name)} ..."
        )
    return found.search


def _store_extended(folder: SweepFolder, config: SweepConfig, callbacks: Sequence[Callback]) -> None:
    """Store the new settings, from which `resume` continues after a kill; then remove the mark of a finished sweep."""
    save_config(folder, config)
    write_experiment(folder, config, callbacks)
    reopen(folder, callbacks)
