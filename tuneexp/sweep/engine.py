"""From a stored sweep to a running `ray.tune.Tuner`: the one place that knows both."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.air._internal import usage
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.experiment import Trial

from tuneexp.errors import LearnerLost, RunnerLost, StorageFault
from tuneexp.sweep import events, snapshot
from tuneexp.sweep.at_once import ConcurrencyLimiter
from tuneexp.sweep.causes import causes_written
from tuneexp.sweep.cluster import RayForSweep
from tuneexp.sweep.config import SweepConfig, trial_config
from tuneexp.sweep.fitting import trials_of
from tuneexp.sweep.folder import SweepFolder
from tuneexp.sweep.keeper import Keeper
from tuneexp.sweep.patience import Patience
from tuneexp.sweep.place import Place, place_of
from tuneexp.sweep.registry import SCHEDULERS, SEARCHERS, build
from tuneexp.sweep.relocation import relocate
from tuneexp.sweep.resources import largest
from tuneexp.sweep.searchers import StudySearcher
from tuneexp.sweep.second_copy import checkpoints_of_copy
from tuneexp.sweep.space import SearchSpace
from tuneexp.sweep.stopping import stop_signals
from tuneexp.sweep.transfers import SlowTransfers
from tuneexp.sweep.watchdog import Watchdog

RETRIES_OF_A_LOST_WORKER = 2

# (Trial) -> name. Tune pickles it into each trial of a snapshot: a method of `str` names no module of ours there.
trial_name = "trial_{0.config[trial_number]:05d}_{0.trial_id}".format
# Snapshots of earlier versions name this module and this function, and nothing else of ours. Both must stay.
_trial_name = trial_name


def run_trials(
    config: SweepConfig,
    folder: SweepFolder,
    space: SearchSpace,
    callbacks: Sequence[tune.Callback],
    watcher: events.Watcher | None,
    ray: RayForSweep,
    failed: bool = False,
) -> None:
    """Run the sweep to its end, from its snapshot where there is one. The caller holds the folder's lock.

    failed: trials that had failed go on from their last checkpoint."""
    resumed = folder.snapshot_file.exists()
    place = place_of(folder, config.checkpoints)
    if resumed:
        snapshot.put_back(folder, place)
        relocate(place, config.trial.moved)
        forget_beyond_snapshot(folder, place)
    else:
        start_over(place)
    events.watch(folder.path, watcher)
    try:
        ray.ready()
        with errors_that_end_a_trial(), causes_written(), callbacks_uncounted():
            tuner = _new_tuner(config, folder, space, callbacks, resumed)
            if resumed:
                tuner = tune.Tuner.restore(place.path, tuner_trainable(), resume_unfinished=True, resume_errored=failed)
            with stop_signals() as stop, stop.in_order(_end_tune), _signal_of_tune_put_back():
                tuner.fit()
    finally:
        events.watch(folder.path, None)


def _end_tune() -> bool:
    """Do what Tune does at SIGUSR1: end its loop after the current step, save, and stop the trials."""
    handler = signal.getsignal(signal.SIGUSR1)
    if not callable(handler):
        return False
    handler(signal.SIGUSR1, None)
    return True


@contextmanager
def _signal_of_tune_put_back() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, before or signal.SIG_DFL)


def tuner_trainable() -> type[tune.Trainable]:
    from tuneexp.trainable import AlgorithmTrainable

    return AlgorithmTrainable


def _new_tuner(
    config: SweepConfig,
    folder: SweepFolder,
    space: SearchSpace,
    callbacks: Sequence[tune.Callback],
    resumed: bool,
) -> tune.Tuner:
    """A Tuner built from `config`. It writes `tuner.pkl`, so a restore right after uses today's code and settings."""
    place = place_of(folder, config.checkpoints)
    # Tune restores callbacks by position: those that a resume may not be given come last.
    mlflow, *of_user = callbacks
    scheduler = build(SCHEDULERS[config.scheduler], config.trial.budget_env_steps)
    scheduler.concurrency = config.concurrency
    searcher = StudySearcher(
        space,
        build(SEARCHERS[config.searcher], config.searcher_seed, config.trials),
        study_name=f"{config.name}-{config.created_at_s:.6f}",
        budget_env_steps=config.trial.budget_env_steps,
        log=folder.suggestions_file,
        initial=space.initial_params(),
    )
    return tune.Tuner(
        tuner_trainable(),
        param_space=trial_config(config),
        tune_config=tune.TuneConfig(
            metric="objective",
            mode="max",
            search_alg=ConcurrencyLimiter(searcher, config.concurrency),
            scheduler=scheduler,
            num_samples=config.trials,
            reuse_actors=True,
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name=config.name,
            storage_path=place.storage,
            # Old checkpoints are dropped by the Keeper, and only once a snapshot no longer needs them.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, checkpoint_at_end=True),
            failure_config=tune.FailureConfig(max_failures=RETRIES_OF_A_LOST_WORKER),
            callbacks=[
                mlflow,
                Keeper(folder, place, scheduler, resumed, config.trial.moved),
                Patience(largest(trials_of(space))),
                SlowTransfers(place.path),
                Watchdog(),
                *of_user,
            ],
            verbose=0,
        ),
    )


def start_over(place: Place) -> None:
    """Nothing of a sweep that died before its first snapshot can be used, but for its suggestions."""
    snapshot.clear_state(place)
    for trial in place.names("trial_*"):
        place.remove(trial)


def forget_beyond_snapshot(folder: SweepFolder, place: Place) -> None:
    """Remove what the snapshot does not know: folders of trials, and checkpoints, whole or half written. What came
    after it will be made again. The checkpoints of its second copy stay."""
    records = snapshot.read_records(folder)
    trials = {str(record["trial_id"]) for record in records}
    needed = checkpoints_of_copy(folder) | {record["checkpoint"] for record in records}
    for trial in place.names("trial_*"):
        if trial.rpartition("_")[2] not in trials:
            place.remove(trial)
            continue
        for checkpoint in place.names("checkpoint_*", trial):
            if checkpoint not in needed:
                place.remove(checkpoint)


@contextmanager
def errors_that_end_a_trial() -> Iterator[None]:
    """Tune retries whatever failed. A lost worker deserves that; code that raised would raise again, and the trial
    ends with that reason. Where the storage failed for too long the sweep ends, by `StorageFault`. Tune has no setting
    for it."""
    should_recover, handle_error = Trial.should_recover, Trial.handle_error

    def only_lost_workers(trial: Trial) -> bool:
        return bool(should_recover(trial)) and not _is_final(trial)

    def no_storage_fault(trial: Trial, error: Any = None) -> None:
        if isinstance(error, RayTaskError) and isinstance(error.cause, StorageFault):
            raise error.cause
        handle_error(trial, error)

    Trial.should_recover, Trial.handle_error = only_lost_workers, no_storage_fault
    try:
        yield
    finally:
        Trial.should_recover, Trial.handle_error = should_recover, handle_error


@contextmanager
def callbacks_uncounted() -> Iterator[None]:
    """For usage statistics, which are off unless a person switches them on, Tune counts callbacks by their kinds and
    imports all loggers for it: MLflow alone is seconds of every start."""
    tag_callbacks = usage.tag_callbacks
    if os.environ.get("RAY_USAGE_STATS_ENABLED") == "0":
        usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        usage.tag_callbacks = tag_callbacks


def _is_final(trial: Trial) -> bool:
    # The driver's own copy: `trial.get_pickled_error()` reads the storage, where it arrives seconds later.
    path = trial.pickled_error_file
    if path is None or not Path(path).exists():
        return False
    try:
        error = cloudpickle.loads(Path(path).read_bytes())
    except Exception:  # an exception class that can't be unpickled here: raised by the trial's own code
        return True
    if isinstance(error, RayTaskError):
        return not isinstance(error.cause, RayActorError | RunnerLost | LearnerLost)
    return "creation task" in str(error)  # `setup` raised: Ray says that the actor died of it
