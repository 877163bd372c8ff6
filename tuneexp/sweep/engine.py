"""The `ray.tune.Tuner` of a stored sweep: built, restored and run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray import tune

from tuneexp.ray_support.patches import callbacks_uncounted, environment_inherited, trial_failures
from tuneexp.ray_support.start import environment_of_workers
from tuneexp.sweep import events, warm_start
from tuneexp.sweep.cluster.capacity import trials_of
from tuneexp.sweep.cluster.failure_causes import is_final, raise_storage_fault, write_cause
from tuneexp.sweep.cluster.pending_monitor import PendingMonitor
from tuneexp.sweep.cluster.ray_session import RaySession
from tuneexp.sweep.cluster.resources import largest
from tuneexp.sweep.cluster.transfers import SlowTransfers
from tuneexp.sweep.cluster.trial_timeout import TimeLimit
from tuneexp.sweep.cluster.watchdog import Watchdog
from tuneexp.sweep.population.members import PerMember
from tuneexp.sweep.population.searcher import PopulationSearcher
from tuneexp.sweep.population.stacking import is_stacked, shared_settings
from tuneexp.sweep.scheduling import scheduler_of
from tuneexp.sweep.search.choice import build_sampler, build_scheduler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.schedulers.scheduler import Scheduler
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.signals import stop_signals
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_keeper import Retention
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage, checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.records import tune_id
from tuneexp.sweep.storage.relocation import relocate
from tuneexp.sweep.storage.second_copy import checkpoints_of_copy
from tuneexp.sweep.storage.snapshot_writer import SnapshotWriter
from tuneexp.sweep.sweep_config import (
    SweepConfig,
    objectives_of,
    sampler_context,
    stop_rules,
    trial_config,
)
from tuneexp.tracking.undelivered_models import undelivered_checkpoints

RETRIES_OF_A_LOST_WORKER = 2
MAX_PENDING = "TUNE_MAX_PENDING_TRIALS_PG"

# (Trial) -> name. Tune pickles it into each trial of a snapshot; a method of `str` refers to no module of tuneexp.
trial_name = "trial_{0.config[trial_number]:05d}_{0.trial_id}".format
# Snapshots of earlier versions refer to this module and this function, and to no other code of tuneexp: keep both.
_trial_name = trial_name


def run_trials(
    config: SweepConfig,
    folder: SweepFolder,
    space: SearchSpace,
    callbacks: Sequence[tune.Callback],
    watcher: events.Watcher | None,
    ray: RaySession,
    failed: bool = False,
) -> None:
    """Run the sweep to its end, from its snapshot if there is one. The caller holds the folder's lock.

    failed: retry failed trials from their last checkpoints."""
    resumed = folder.snapshot_file.exists()
    store = checkpoint_storage_of(folder, config.checkpoints)
    if resumed:
        snapshot.put_back(folder, store)
        relocate(store, config.trial.moved)
        remove_beyond_snapshot(folder, store)
    else:
        start_over(store)
    events.watch(folder.path, watcher)
    try:
        ray.ready()
        failures = trial_failures(is_final, raise_storage_fault, write_cause)
        inherited = environment_inherited(environment_of_workers())
        with failures, callbacks_uncounted(), inherited, _workers_start_together(config.concurrency):
            tuner = _new_tuner(config, folder, space, callbacks, resumed)
            if resumed:
                tuner = tune.Tuner.restore(
                    store.path, tuner_trainable(config), resume_unfinished=True, resume_errored=failed
                )
            with stop_signals() as stop, stop.in_order(_end_tune), _signal_of_tune_put_back():
                tuner.fit()
    finally:
        events.watch(folder.path, None)


def _end_tune() -> bool:
    """Call Tune's handler of SIGUSR1: Tune ends its loop after the current step, saves, and stops the trials."""
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


@contextmanager
def _workers_start_together(concurrency: int | None) -> Iterator[None]:
    """Let Tune start as many workers at a time as there are concurrent trials; by default it starts one at a time."""
    if concurrency is None or MAX_PENDING in os.environ:
        yield
        return
    os.environ[MAX_PENDING] = str(concurrency)
    try:
        yield
    finally:
        os.environ.pop(MAX_PENDING, None)


def tuner_trainable(config: SweepConfig) -> type[tune.Trainable]:
    from tuneexp.sweep.population.trainable import PopulationTrainable
    from tuneexp.trial.trainable import AlgorithmTrainable

    return PopulationTrainable if is_stacked(config) else AlgorithmTrainable


def _scheduler(config: SweepConfig, space: SearchSpace) -> Scheduler:
    """Return the scheduler of Tune's trials. A stacked population is one of them, and decides within itself."""
    asked = scheduler_of(config, space)
    return build_scheduler("fifo", asked.context) if is_stacked(config) else asked


def _searcher(config: SweepConfig, folder: SweepFolder, space: SearchSpace, limits: Limits) -> StudySearcher:
    kind: Callable[..., StudySearcher] = StudySearcher
    if is_stacked(config):
        given = {"shared": shared_settings(config, space), "fixed": config.fixed}
        kind = partial(PopulationSearcher, size=config.trials or 0, **given)
    return kind(
        space,
        build_sampler(config.searcher, sampler_context(config, space)),
        study_name=f"{config.name}-{config.created_at_s:.6f}",
        budget_env_steps=config.trial.budget_env_steps,
        log=folder.suggestions_file,
        initial=space.initial_params(),
        limits=limits,
        objectives=objectives_of(config),
        earlier=warm_start.frozen(warm_start.stored(folder), space),
    )


def _new_tuner(
    config: SweepConfig,
    folder: SweepFolder,
    space: SearchSpace,
    callbacks: Sequence[tune.Callback],
    resumed: bool,
) -> tune.Tuner:
    """Build a Tuner. It writes `tuner.pkl`, so that a restore after it uses the current code and settings."""
    store = checkpoint_storage_of(folder, config.checkpoints)
    # Tune restores callbacks by position: the user's come last, since a resume may lack them.
    mlflow, *of_user = callbacks
    time_limit = TimeLimit(config.trial_timeout_s)
    scheduler = TuneScheduler(_scheduler(config, space), config.concurrency, objectives_of(config), time_limit)
    limits = Limits(stop_rules(config), None if is_stacked(config) else config.concurrency, scheduler)
    writer = _snapshot_writer(config, folder, scheduler, limits, resumed, mlflow)
    scheduler.listeners += [mlflow.taken_over, writer.taken_over]
    recorders = [mlflow, writer]
    return tune.Tuner(
        tuner_trainable(config),
        param_space=trial_config(config),
        tune_config=tune.TuneConfig(
            metric="objective",
            mode="max",
            search_alg=_searcher(config, folder, space, limits),
            scheduler=scheduler,
            num_samples=-1,  # the searcher counts
            reuse_actors=True,
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name=config.name,
            storage_path=store.storage,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, checkpoint_at_end=True),
            failure_config=tune.FailureConfig(max_failures=RETRIES_OF_A_LOST_WORKER),
            callbacks=[
                *(map(PerMember, recorders) if is_stacked(config) else recorders),
                PendingMonitor(largest(trials_of(space))),
                SlowTransfers(store.path),
                Watchdog(),
                *of_user,
            ],
            verbose=0,
        ),
    )


def _snapshot_writer(
    config: SweepConfig,
    folder: SweepFolder,
    scheduler: TuneScheduler,
    limits: Limits,
    resumed: bool,
    models: Any,
) -> SnapshotWriter:
    """Return the callback that writes snapshots. models: receiver of checkpoints of ended trials."""
    return SnapshotWriter(
        folder,
        checkpoint_storage_of(folder, config.checkpoints),
        scheduler,
        limits,
        resumed,
        config.trial.moved,
        objectives_of(config),
        Retention(config.keep, config.checkpoint_quota_bytes),
        models,
    )


def start_over(store: CheckpointStorage) -> None:
    """Remove the files of a sweep that ended before its first snapshot. Only its suggestions are kept."""
    snapshot.clear_state(store)
    for trial in store.names("trial_*"):
        store.remove(trial)


def remove_beyond_snapshot(folder: SweepFolder, store: CheckpointStorage) -> None:
    """Remove folders of trials and checkpoints that the snapshot does not name: they will be written again.

    Checkpoints of its second copy stay, and those of which MLflow is still to make models."""
    found = snapshot.load(folder)
    trials = {tune_id(record.trial_id) for record in found.records} if found else set()
    needed = checkpoints_of_copy(folder) | (found.checkpoints if found else frozenset())
    needed |= undelivered_checkpoints(folder.path)
    for trial in store.names("trial_*"):
        if trial.rpartition("_")[2] not in trials:
            store.remove(trial)
            continue
        for checkpoint in store.names("checkpoint_*", trial):
            if checkpoint not in needed:
                store.remove(checkpoint)
