"""One run of a sweep, new or resumed: the trials, then the summary in MLflow and the study file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ray.tune import Callback

from tuneexp.errors import StorageFault, TuneexpError
from tuneexp.files.retries import no_room_in, of_the_storage, retried, storage_fault_in
from tuneexp.sweep.cluster.loss_detection import ClusterLost
from tuneexp.sweep.cluster.ray_session import RaySession
from tuneexp.sweep.confirming.closing import close
from tuneexp.sweep.engine import remove_beyond_snapshot, run_trials
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.mlflow_contents import mlflow_callback
from tuneexp.sweep.process_exit import show_cursor
from tuneexp.sweep.results import SweepResult, TrialResult, how_it_ended, result_of
from tuneexp.sweep.search.metrics import DEFAULT
from tuneexp.sweep.search.searchers import export_study
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.signals import SweepInterrupted, how_to_go_on, refuse_unsignalled, stop_signals
from tuneexp.sweep.storage.checkpoint_keeper import ended_models
from tuneexp.sweep.storage.checkpoint_storage import checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.stored_study import study_of
from tuneexp.sweep.sweep_config import SweepConfig, read_config
from tuneexp.sweep.watching.best import best_video
from tuneexp.tracking.callback import MLflowCallback
from tuneexp.tracking.delivery_process import Undelivered, drain_now
from tuneexp.tracking.outcome import COMPLETED
from tuneexp.tracking.standings import Standings
from tuneexp.tracking.tensorboard import logs_written
from tuneexp.tracking.within import Closing

logger = logging.getLogger(__name__)

# Timeouts of the delivery to MLflow at the end of a sweep. `tuneexp resume` delivers the rest of the outbox.
DELIVERY_TIMEOUT_S = 15.0
INTERRUPT_TIMEOUT_S = 5.0


def run_to_the_end(
    config: SweepConfig,
    folder: SweepFolder,
    space: SearchSpace,
    callbacks: Sequence[Callback],
    on_event: Watcher | None,
    ray: RaySession,
    failed: bool = False,
) -> SweepResult:
    """Run the rest of the sweep. The caller holds the folder's lock. Raises SweepInterrupted after a signal.

    failed: retry failed trials."""
    mlflow = mlflow_callback(config, folder, space)
    mlflow.start()
    ray.on_lost = partial(_log_cause, folder, mlflow)
    with stop_signals() as stop, logs_written(folder.path, config.tensorboard):
        try:
            _run_trials(config, folder, space, [mlflow, *callbacks], on_event, ray, failed)
        except TuneexpError:
            ray.stop()
            _warn(mlflow.interrupt(INTERRUPT_TIMEOUT_S))  # no trial is running
            raise
        ray.stop()
        if how_it_ended(config, folder) is None:
            _warn(mlflow.interrupt(0.0 if stop.at_once else INTERRUPT_TIMEOUT_S))
            raise SweepInterrupted(how_to_go_on(folder), stop.exit_code)
        return write_summary(config, folder, mlflow)


def _run_trials(
    config: SweepConfig,
    folder: SweepFolder,
    space: SearchSpace,
    callbacks: Sequence[Callback],
    on_event: Watcher | None,
    ray: RaySession,
    failed: bool,
) -> None:
    try:
        run_trials(config, folder, space, callbacks, on_event, ray, failed)
    except KeyboardInterrupt as error:  # before the first step, or a second one while Tune was saving
        with stop_signals() as stop:
            refuse_unsignalled(stop, error)
        logger.info("stopped at once")
    except ClusterLost as error:
        raise ClusterLost(f"{error}\nresults so far are saved; {_go_on(folder)}") from error
    except Exception as error:
        if how_it_ended(config, folder) is not None:  # the error concerns Tune's table of results, which is not used
            logger.debug("all trials have ended", exc_info=True)
            return
        if (fault := storage_fault_in(error)) is not None:
            raise StorageFault(f"{fault}\nthe trials did not fail; once the storage works, {_go_on(folder)}") from error
        if isinstance(error, TuneexpError):
            raise
        if (full := no_room_in(error)) is not None:  # the disk of Tune's or Ray's own files
            raise StorageFault(
                f"{full.strerror}: {full.filename or 'the folder for temporary files (TMPDIR)'}\n"
                f"results so far are saved; free space there, then {_go_on(folder)}"
            ) from error
        raise TuneexpError(
            f"the sweep failed: {type(error).__name__}: {' '.join(str(error).split())[-300:]}\n"
            f"results so far are saved; {_go_on(folder, '-v')}"
        ) from error


def _go_on(folder: SweepFolder, *options: str) -> str:
    return f"continue with: {folder.command('resume', *options)}"


def _log_cause(folder: SweepFolder, mlflow: MLflowCallback, reason: str) -> None:
    """Restore the cursor and log the cause before the process ends during a call of Tune."""
    show_cursor()
    logger.error("%s\nresults so far are saved; %s", reason, _go_on(folder))
    _warn(mlflow.interrupt(INTERRUPT_TIMEOUT_S))


def deliver_rest(folder: SweepFolder) -> None:
    """Deliver records to MLflow that are left in the outbox, usually none."""
    _warn(drain_now(folder.path, DELIVERY_TIMEOUT_S))
    _tidy(read_config(folder), folder)


def _tidy(config: SweepConfig, folder: SweepFolder) -> None:
    """Delete checkpoints beyond the quota that MLflow was still to get when the trials had ended."""
    if config.checkpoint_quota_bytes is not None and folder.snapshot_file.exists():
        remove_beyond_snapshot(folder, checkpoint_storage_of(folder, config.checkpoints))


def write_summary(config: SweepConfig, folder: SweepFolder, mlflow: MLflowCallback) -> SweepResult:
    """Write the summary of a sweep whose trials have all ended. Idempotent: the study file is written last and marks a
    finished sweep."""
    result = result_of(config, folder)
    best, closing = close(config, folder, result)
    closing = replace(closing or Closing(), files=best_video(config, folder, best))
    number, checkpoint = (best.trial_number, best.checkpoint) if best else (None, None)
    rows = [_summary_row(trial) for trial in result.trials]
    tags = {"ended_by": result.ended_by} if result.ended_by else {}
    kept = ended_models(folder, checkpoint_storage_of(folder, config.checkpoints), config.keep)
    left = mlflow.finish(rows, number, checkpoint, DELIVERY_TIMEOUT_S, tags, _standings(result), closing, kept)
    _write_study(folder)
    _warn(left)
    _tidy(config, folder)
    return result_of(config, folder)


def _write_study(folder: SweepFolder) -> None:
    def write() -> None:
        export_study(study_of(folder), folder.study_file)

    try:
        retried(write, f"{folder.study_file} can't be written", of_the_storage)
    except StorageFault as fault:
        raise StorageFault(f"{fault}\nresults so far are saved; {_go_on(folder)}") from fault


def _summary_row(trial: TrialResult) -> dict[str, Any]:
    kept = ("trial_number", "trial_id", "outcome", "objective", "env_steps", "wall_s", "reason")
    settings = {f"config/{name}": value for name, value in trial.config.items()}
    values = {name: value for name, value in trial.objectives.items() if name not in kept}
    violated = {"violated": ", ".join(trial.violated)} if trial.violated else {}
    return {
        **{name: getattr(trial, name) for name in kept},
        "reason": trial.reason or "",
        **values,
        **violated,
        **settings,
    }


def _standings(result: SweepResult) -> Standings:
    names = tuple(one["name"] for one in result.objectives)
    completed = [trial for trial in result.trials if trial.outcome == COMPLETED]
    return Standings(
        objectives=() if names == (DEFAULT,) else names,
        front=tuple(trial.trial_number for trial in result.front) if len(names) > 1 else (),
        violated={trial.trial_number: tuple(trial.violated) for trial in completed if trial.violated},
        completed=tuple(trial.trial_number for trial in completed),
    )


def _warn(left: Undelivered | None) -> None:
    if left is not None:
        logger.warning("%s", left)
