"""`resume`: continue a sweep from its last snapshot."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tuneexp.addresses import changed_sources
from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.files.atomic import remove
from tuneexp.security.trust import (
    CLUSTER,
    addresses_in,
    moved_options,
    remember,
    require_files,
    require_trusted,
    with_moved,
)
from tuneexp.sweep.cluster.capacity import resolved_here
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.experiment.writing import write_experiment
from tuneexp.sweep.nesting_check import refuse_nested_sweep
from tuneexp.sweep.results import SweepResult, failed_trials, how_it_ended, none_ran, result_of
from tuneexp.sweep.run import run_in_ray
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import STOPPING, TIME_BUDGET, UNTIL, reason
from tuneexp.sweep.signals import Stop, interruptible
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_storage import checkpoint_storage_of, lasting_location
from tuneexp.sweep.storage.folder import SweepFolder, stored_at, sweep_folder
from tuneexp.sweep.storage.second_copy import recover
from tuneexp.sweep.sweep import checked_space
from tuneexp.sweep.sweep_config import SweepConfig, read_config, relocated_config, save_config, with_sources
from tuneexp.sweep.user_callbacks import callback_list
from tuneexp.sweep.writable import check_writable

if TYPE_CHECKING:
    from ray.tune import Callback

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Running:
    """Arguments of `resume` that apply to each sweep that it continues."""

    callbacks: list[Callback] = field(default_factory=list)
    verbose: bool = False
    address: str | None = None
    trust: bool = False
    failed: bool = False
    moved: Mapping[str, str] = field(default_factory=dict)


def resume(
    name: str,
    storage: str | Path = "runs",
    on_event: Watcher | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
    address: str | None = None,
    trust: bool = False,
    failed: bool = False,
    checkpoints: str | Path | None = None,
    moved: Mapping[str, str] | None = None,
) -> SweepResult:
    """Continue a sweep. Finished trials stay, interrupted ones go on from their last checkpoint, missing ones are run.

    A confirmation that follows the sweep, or was interrupted, is continued after it. A finished sweep is returned as it
    is (`extend` adds trials); reports that MLflow lacks are delivered.

    Args:
        name: Name of the sweep, or path of its folder.
        storage: Folder that holds the sweep's folder.
        on_event: Function that is called with each `SweepEvent`.
        callbacks: Tune callbacks of your own; they must be picklable.
        verbose: Show the log output of Ray.
        address: Another Ray cluster ("local": this machine). It must have access to the checkpoints.
        trust: Run the code that the sweep names and unpickle its snapshot, and remember them as trusted.
        failed: Retry failed trials from their last checkpoints. Without it they are retried only if no trial ran.
        checkpoints: New location of the sweep's checkpoints, if they were moved; it is stored.
        moved: New files, folders or addresses of your own, by the old ones; they are stored.

    Returns:
        The result.

    Raises:
        UserError: There is no such sweep, another process runs it, or it names code that is not trusted.
        SweepInterrupted: A signal ended the sweep; its state is saved.
    """
    from tuneexp.sweep.confirming.confirm import ray_of_what_follows, run_stages, to_continue

    refuse_nested_sweep()
    running = Running(callback_list(callbacks), verbose, address, trust, failed, moved or {})
    folder = folder_of(name, storage)
    read_config(folder)  # an unknown name is refused
    with ray_of_what_follows(folder, running):
        result = resume_sweep(folder, running, on_event, checkpoints)
        if (confirmation := to_continue(folder)) is not None:
            run_stages(confirmation, running, on_event)
    return result


def resume_sweep(
    folder: SweepFolder, running: Running, on_event: Watcher | None = None, checkpoints: str | Path | None = None
) -> SweepResult:
    """Continue a sweep as `resume`, without its confirmations."""
    refuse_nested_sweep()
    config, moved, address = read_config(folder), running.moved, running.address  # an unknown name creates no folder
    if moved:
        config = _with_moved(config, moved)
    if address is not None:
        config = config.model_copy(update={"address": address})
    require_trust_of(config, folder, address, moved, running.trust)
    if checkpoints is not None:
        config = config.model_copy(update={"checkpoints": lasting_location(checkpoints, folder.storage)})
    check_writable(folder, config)
    with folder.lock(), interruptible(folder) as stop:
        recover_files(folder, config, running.trust)
        if moved or checkpoints is not None:
            _keep_changes(folder, moved, config.checkpoints, running.callbacks)
        ended_by = how_it_ended(config, folder)
        nothing_ran = none_ran(folder)
        failed = nothing_ran or (running.failed and bool(failed_trials(folder)))
        if failed and ended_by in STOPPING and not nothing_ran:
            _refuse_retries(config, ended_by)
        if ended_by is not None and not failed:
            return _finished(config, folder, stop)
        space = checked_stored_space(config, folder)
        config = report_changed_sources(config)
        refuse_changed_space(config, space, folder)
        config = resolved_here(config, space)
        write = partial(reopen, folder, running.callbacks)
        return run_in_ray(config, folder, space, running.callbacks, on_event, running.verbose, write, failed)


def recover_files(folder: SweepFolder, config: SweepConfig, trust: bool) -> None:
    """Remove what a kill left half written, and replace a damaged snapshot by its second copy.

    The caller holds the folder's lock. UserError for a snapshot that this user did not sign, unless `trust`."""
    for leftover in folder.path.glob(".*.tmp"):
        remove(leftover)
    snapshot.check_signatures(folder, trust)
    recover(folder, checkpoint_storage_of(folder, config.checkpoints))


def _refuse_retries(config: SweepConfig, ended_by: str) -> NoReturn:
    """Raise UserError: a retried trial would stop at its next report."""
    longer = {TIME_BUDGET: ("--time-budget", "1h"), UNTIL: ("--until", "none")}[ended_by]
    raise UserError(
        f"{reason(ended_by, config)}, so failed trials would stop at once\n"
        f"extend the sweep before: {command('extend', config.name, *longer, '--trials', 'N')}"
    )


def reopen(folder: SweepFolder, callbacks: Sequence[Callback]) -> None:
    """Remove the mark of a finished sweep. Write `experiment.yaml` for a sweep of a version that wrote none."""
    if not folder.experiment_file.exists():
        write_experiment(folder, read_config(folder), callbacks)
    folder.study_file.unlink(missing_ok=True)


def folder_of(name: str, storage: str | Path) -> SweepFolder:
    """Return the folder of a sweep by name or path. UserError for a name that is not allowed."""
    found = stored_at(name, storage)
    return sweep_folder(name, storage) if found is None else sweep_folder(found.name, found.storage)


def require_trust_of(
    config: SweepConfig,
    folder: SweepFolder,
    address: str | None,
    moved: Mapping[str, str],
    trust: bool,
    verb: str = "resume",
) -> None:
    named = addresses_in(config.flat())
    remember([one for one in named if one == (CLUSTER, address)])
    again = (verb, folder.name, *moved_options(moved), "--storage", folder.storage)
    require_trusted(named, f"the sweep {folder.name!r}", again, trust)


def _finished(config: SweepConfig, folder: SweepFolder, stop: Stop) -> SweepResult:
    """Return the result of a sweep with nothing left to train, after writing or delivering what a kill prevented."""
    stop.started()
    from tuneexp.sweep.lifecycle import deliver_rest, write_summary
    from tuneexp.sweep.mlflow_contents import mlflow_callback
    from tuneexp.tracking.tensorboard import logs_written

    with logs_written(folder.path, config.tensorboard):
        if folder.study_file.exists():  # written last
            deliver_rest(folder)
            return result_of(config, folder)
        space = checked_stored_space(config, folder)
        return write_summary(config, folder, mlflow_callback(config, folder, space))


def checked_stored_space(config: SweepConfig, folder: SweepFolder) -> SearchSpace:
    """Return the stored space, checked with the other settings. UserError with the file."""
    require_files(addresses_in(config.flat()), str(folder.config_file))
    try:
        return checked_space(config, SearchSpace.of(config.space), new=False)
    except UserError as error:
        raise UserError(f"{folder.config_file}: {error}") from None


def _keep_changes(
    folder: SweepFolder, moved: Mapping[str, str], checkpoints: str | None, callbacks: Sequence[Callback]
) -> None:
    """Store new addresses and a new location of the checkpoints in the sweep."""
    config = _with_moved(read_config(folder), moved) if moved else read_config(folder)
    save_config(folder, config.model_copy(update={"checkpoints": checkpoints}))
    write_experiment(folder, read_config(folder), callbacks)


def _with_moved(config: SweepConfig, moved: Mapping[str, str]) -> SweepConfig:
    with_moved({"config": config.flat()}, moved, f"the sweep {config.name!r}")  # refused, or trusted
    return relocated_config(config, moved)


def report_changed_sources(config: SweepConfig) -> SweepConfig:
    """Warn of each source that has changed since the sweep started.

    Returns `config` with the present hashes, which are compared with those of the cluster's nodes. The stored ones
    stay."""
    for address in changed_sources(config.trial.sources):
        logger.warning("the source of %s has changed since the sweep started; later trials use the new one", address)
    return with_sources(config)


def refuse_changed_space(config: SweepConfig, space: SearchSpace, folder: SweepFolder) -> None:
    """Raise UserError if a define-by-run space has changed since the sweep started.

    Trials of two spaces can't be compared, and Optuna mixes or refuses them."""
    before, now = config.suggested, space.suggested
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)] if before else []
    if changed:
        raise UserError(
            f"the search space {config.space['function']} has changed since the sweep started ({', '.join(changed)})\n"
            "restore it, or start another sweep with it: "
            f"{command('sweep', '--name', f'{config.name}-2', storage=folder.storage)} ..."
        )
