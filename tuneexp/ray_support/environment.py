"""Environment variables of every Ray that this library starts or joins, and of Tune.

Imports no Ray: Ray and Tune read most of them when they are imported or started."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tuneexp.files.retries import PATIENCE

CPUS_PER_LEARNER = 1.0
ADDRESS = "RAY_ADDRESS"

# Imports and log lines of Ray in this process.
QUIET_SETTINGS = {
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# Workers of a Ray that starts here inherit them.
WORKER_SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # 15 by default, so other processes would have priority over training
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
# During a sweep. Workers of a Ray that starts here inherit them.
SWEEP_SETTINGS = {
    **QUIET_SETTINGS,
    **WORKER_SETTINGS,
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # workers keep the driver's folder: relative paths of users stay valid
    "RAY_prestart_worker_first_driver": "0",  # trials start their own processes; prestarted ones would be idle
    "RAY_AIR_NEW_OUTPUT": "0",
    "PL_DISABLE_FORK": "1",  # Tune wants it in each worker; see `environment_inherited` in patches.py
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files: MLflow has the metrics
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # `sweep.signals` handles the signals
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",  # no metrics of old checkpoints in every snapshot
}
SNAPSHOT_PERIOD = "TUNE_GLOBAL_CHECKPOINT_S"
# Lines of Ray and Tune that a command of this library does not show.
TERMINAL_SETTINGS = {
    **QUIET_SETTINGS,
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S_AUTOSCALER": "1000000",
}
# Read in a worker: the workers of a cluster get them from the job.
SENT_TO_WORKERS = (
    "PL_DISABLE_FORK",
    "RAY_CHDIR_TO_TRIAL_DIR",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    PATIENCE,
)


def set_missing(settings: Mapping[str, str]) -> list[str]:
    """Set environment variables that are not set, and return their names. Variables of the user stay as they are."""
    added = [name for name in settings if name not in os.environ]
    os.environ.update({name: settings[name] for name in added})
    return added


@contextmanager
def settings_in_environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that are not set, and remove them at the end."""
    added = set_missing(settings)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def worker_environment() -> dict[str, str]:
    """Return the variables of `SENT_TO_WORKERS` that are set here, for the workers of a cluster.

    Names that a submitted job has set are left out: Ray accepts no name twice."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    given = job.get("runtime_env", {}).get("env_vars", {})
    return {name: os.environ[name] for name in SENT_TO_WORKERS if name in os.environ and name not in given}
