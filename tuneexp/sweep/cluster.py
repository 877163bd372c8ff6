"""Ray for one sweep: few services, quiet, one torch thread a worker; or a cluster that is already there."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from tuneexp.errors import UserError

# Read by Ray and Tune from the environment; workers inherit them.
_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # workers keep the driver's folder: relative paths of a person's files stay true
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_preload_python_modules": "tuneexp.trainable,tuneexp.algorithms.ppo",  # torch, before a trial needs it
    "RAY_worker_niceness": "0",  # 15 by default: whatever else runs here would come before training
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files: MLflow has the metrics
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",  # no metrics of old checkpoints in every snapshot
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
ANSWER_LIMIT_S = 10.0
_OBJECT_STORE_BYTES = 100 * 2**20  # results are small; checkpoints go through files


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class RayForSweep:
    """Ray for the time of a sweep: the one already initialised, the cluster at `address` (or RAY_ADDRESS), or a local
    one that ends with the sweep.

    It starts in the background, while the driver imports what it needs, and stops there, while the last reports go to
    MLflow: seconds each. `ready()` waits for it."""

    def __init__(self, concurrency: int, address: str | None, snapshot_period_s: float, verbose: bool = False) -> None:
        self._concurrency, self._verbose = concurrency, verbose
        self._address = address or os.environ.get("RAY_ADDRESS")
        self._wanted = {**_SETTINGS, "TUNE_GLOBAL_CHECKPOINT_S": str(snapshot_period_s)}
        self._started, self._stop = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        # One thread for the whole time: Linux kills Ray's processes when the thread that started them ends.
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        self._exit.enter_context(_settings(self._wanted))
        if not self._verbose:
            for name in ("ray", "ray.tune", "ray.train", "ray.data"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        return self

    def ready(self) -> None:
        """Wait until Ray runs. UserError where the cluster can't be reached."""
        self._started.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Begin to end Ray; returns at once."""
        self._stop.set()

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._thread.join()
        self._exit.close()

    def _live(self) -> None:
        try:
            import ray

            if ray.is_initialized():  # somebody else's: it stays
                return
            _start(self._concurrency, self._address, self._verbose)
        except BaseException as error:
            self._error = error
            return
        finally:
            self._started.set()
        self._stop.wait()
        ray.shutdown()


@contextmanager
def _settings(wanted: dict[str, str]) -> Iterator[None]:
    """Environment variables for the time of a sweep; what a person has set stays as it is."""
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def refuse_unreachable(address: str | None) -> None:
    """UserError where `host:port` (or ray://host:port) answers nobody; Ray itself would try for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # none, local or auto: Ray finds those itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_LIMIT_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray cluster at {address!r} ({error}); start it, or leave out --address") from None


def _start(concurrency: int, address: str | None, verbose: bool) -> None:
    import ray

    common: dict[str, Any] = {
        "log_to_driver": verbose,
        "logging_level": logging.INFO if verbose else logging.CRITICAL,
    }
    if address and address != "local":
        try:
            ray.init(address=address, **common)
        except ConnectionError as error:
            raise UserError(f"no Ray cluster at {address!r} ({error}); start it, or leave out --address") from None
        return
    ray.init(
        address="local",  # never somebody else's Ray on this machine, nor what a killed sweep left behind
        num_cpus=concurrency,  # as many workers start at once, and each loads torch
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        **common,
    )
