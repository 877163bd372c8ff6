"""Ray for one sweep: few services, quiet, one torch thread a worker; or a cluster that is already there."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Self

from tuneexp.errors import UserError
from tuneexp.execution.remote.left_over import kill_ray
from tuneexp.execution.remote.private import private_surroundings, variables_restored
from tuneexp.execution.remote.settings import WORKER_SETTINGS
from tuneexp.masking import masked
from tuneexp.outages import PATIENCE
from tuneexp.sweep.ending import abandon, cleaned
from tuneexp.sweep.lost import CHECK_PERIOD_S, Loss
from tuneexp.sweep.stopping import check_signals, exit_code_of_signal

# Read by Ray and Tune from the environment. Workers of a Ray that starts here inherit them; those of a cluster get
# what is read in a worker, `_OF_WORKERS`, from the job.
_SETTINGS = {
    **WORKER_SETTINGS,
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # workers keep the driver's folder: relative paths of a person's files stay true
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_prestart_worker_first_driver": "0",  # trials get processes of their own, beside which those would idle
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files: MLflow has the metrics
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # `stopping` handles the signals
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",  # no metrics of old checkpoints in every snapshot
}
_OF_WORKERS = (
    "RAY_CHDIR_TO_TRIAL_DIR",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    PATIENCE,
)
ANSWER_LIMIT_S = 10.0
CHECK_SIGNALS_S = 0.1
START_JOIN_LIMIT_S = 5.0  # of a sweep that ends before Ray has started, which can't be interrupted
CONNECT_LIMIT_S = 60.0  # what listens at the address may be something else than Ray
_OBJECT_STORE_BYTES = 100 * 2**20  # results are small; checkpoints go through files


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class RayForSweep:
    """Ray for the time of a sweep: the one already initialised, the cluster at `address` (or RAY_ADDRESS), or a local
    one that ends with the sweep.

    It starts in the background, while the driver imports what it needs, and stops there, while the last reports go to
    MLflow: seconds each. `ready()` waits for it."""

    def __init__(
        self, cpus: int, address: str | None, snapshot_period_s: float, verbose: bool = False, gpus: bool = False
    ) -> None:
        self._cpus, self._gpus, self._verbose = cpus, gpus, verbose
        self._address = cluster_address(address)
        self._wanted = {**_SETTINGS, "TUNE_GLOBAL_CHECKPOINT_S": str(snapshot_period_s)}
        self._started, self._stop = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._abandoned = False
        # One thread for the whole time: Linux kills Ray's processes when the thread that started them ends.
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
        self._exit = ExitStack()
        self.on_lost: Callable[[str], None] | None = None  # told the reason, in another thread, before the process ends

    def __enter__(self) -> Self:
        if not self._verbose:
            for name in ("ray", "ray.tune", "ray.train", "ray.data"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
        if self._address is not None:
            self._exit.enter_context(variables_restored())
        elif not _ray_runs_here():
            self._temporary = self._exit.enter_context(private_surroundings())
            self._exit.enter_context(cleaned(partial(kill_ray, self._temporary)))
        self._exit.enter_context(_settings(self._wanted))
        self._thread.start()
        return self

    def ready(self) -> None:
        """Wait until Ray runs. UserError where the cluster can't be reached."""
        if not self._wait(CONNECT_LIMIT_S if self._address else math.inf):
            self._abandoned = True  # Ray's own attempts can't be interrupted
            raise UserError(
                f"what answers at {self._address!r} has not let us in for {CONNECT_LIMIT_S:.0f} s; a cluster's address "
                f"is HOST:6379 as `ray start --head` prints it (not the dashboard's port)\n{_other_token()}"
            )
        if self._error is not None:
            raise self._error

    def _wait(self, limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        check_signals()
        while not self._started.wait(CHECK_SIGNALS_S):
            check_signals()
            if time.monotonic() > deadline:
                return False
        check_signals()
        return True

    def stop(self) -> None:
        """Begin to end Ray; returns at once."""
        self._stop.set()

    def __exit__(self, *error: object) -> None:
        self.stop()
        if not self._abandoned:
            self._join()
        if self._abandoned:
            abandon()
        if self._address is not None or not (self._abandoned and self._thread.is_alive()):
            self._exit.close()  # else by the thread, once Ray has started and ended

    def _join(self) -> None:
        self._started.wait(START_JOIN_LIMIT_S)
        self._abandoned = not self._started.is_set()
        if not self._abandoned:
            self._thread.join()

    def _live(self) -> None:
        self._start_and_end()
        if self._abandoned:
            self._exit.close()

    def _start_and_end(self) -> None:
        try:
            import ray

            if self._stop.is_set():
                return
            ours = not ray.is_initialized()  # somebody else's stays
            if ours:
                self._begin()
        except BaseException as error:
            self._error = error
            return
        finally:
            self._started.set()
        self._watch()
        if ours:
            ray.shutdown()

    def _watch(self) -> None:
        """Until the sweep ends. Where the cluster is lost and the main thread can't notice, the process ends here: the
        call of Ray that it waits in never returns."""
        loss = Loss()
        while not self._stop.wait(CHECK_PERIOD_S):
            reason = loss.reason()
            if reason is not None and self.on_lost is not None:
                self.on_lost(reason)
                os._exit(exit_code_of_signal() or 1)  # SLURM ends every process of a job, Ray too

    def _begin(self) -> None:
        common: dict[str, Any] = {
            "log_to_driver": self._verbose,
            "logging_level": logging.INFO if self._verbose else logging.CRITICAL,
        }
        if self._address is not None:
            _join(self._address, **common)
            return
        from tuneexp.execution.remote.ray_here import start_local

        start_local(self._temporary, self._cpus, self._gpus, object_store_memory=_OBJECT_STORE_BYTES, **common)


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


def cluster_address(address: str | None) -> str | None:
    """The cluster to run on, from `address` or RAY_ADDRESS; None: Ray starts on this machine."""
    asked = address or os.environ.get("RAY_ADDRESS")
    return None if asked == "local" else asked or None


def runs_elsewhere(address: str | None) -> bool:
    """Whether trials run on a Ray that this process does not start: what it has room for is known once it is there."""
    return cluster_address(address) is not None or _ray_runs_here()


def _ray_runs_here() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def refuse_unreachable(address: str | None) -> None:
    """UserError where nobody answers at `host:port` (Ray itself would try for minutes), or where it is no address."""
    if address is None or address == "auto":
        return  # Ray finds those itself
    if address.startswith("ray://"):
        raise UserError(
            f"{masked(address)!r} is an address of Ray Client, which would run the sweep away from its folder: log "
            "in to a node of the cluster and write --address auto\n"
            "or send the command there: ray job submit --address http://HEAD:8265 -- tuneexp sweep --address auto ..."
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise UserError(
            f"{masked(address)!r} is no address of a cluster; write --address HOST:6379, or auto on one of its nodes"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_LIMIT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split()).split(" Please specify")[0].rstrip(".")
    return UserError(f"no Ray cluster at {address!r} ({reason}); start it, or leave out --address")


def _other_token() -> str:
    """Advice on tokens. With `auto`, Ray shows one to every cluster as soon as there is one, such as the file
    ~/.ray/auth_token of years ago; with another address it shows none unless told to. A cluster has no way to tell."""
    if os.environ.get("RAY_AUTH_MODE") == "token":  # set by a person, or by Ray for the time of the attempt
        return (
            "we show it a token (RAY_AUTH_TOKEN, or ~/.ray/auth_token); if it was started without one, "
            "set RAY_AUTH_MODE=disabled"
        )
    return (
        "if it was started with a token, set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token to its token"
    )


def _join(address: str, **common: Any) -> None:
    import ray

    from tuneexp.execution.remote.worker_path import DriversPath

    try:
        ray.init(address=address, runtime_env={"env_vars": _worker_settings()}, job_config=DriversPath(), **common)
    except ConnectionError as error:
        raise UserError(f"{_no_cluster(address, error)}\n{_other_token()}") from None
    except RuntimeError as error:
        if "Version mismatch" not in str(error):
            raise
        lines = " ".join(str(error).split())
        raise UserError(f"the cluster at {address!r} has other versions than this machine: {lines[:300]}") from None


def _worker_settings() -> dict[str, str]:
    """For the workers of a cluster, without what a submitted job has set itself: Ray takes no name twice."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    given = job.get("runtime_env", {}).get("env_vars", {})
    return {name: os.environ[name] for name in _OF_WORKERS if name in os.environ and name not in given}
