"""Ray during one sweep: a local one with few services, or a connection to a cluster."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

from tuneexp.errors import UserError
from tuneexp.ray_support.environment import (
    SNAPSHOT_PERIOD,
    SWEEP_SETTINGS,
    settings_in_environment,
    worker_environment,
)
from tuneexp.ray_support.forced_shutdown import kill_ray
from tuneexp.ray_support.private_session import private_surroundings, variables_restored
from tuneexp.ray_support.running import running_ray
from tuneexp.ray_support.worker_origin import worker_origin
from tuneexp.sweep.cluster.address import cluster_address, no_cluster, token_advice
from tuneexp.sweep.cluster.loss_detection import CHECK_PERIOD_S, LossDetector
from tuneexp.sweep.process_exit import abandon, cleaned
from tuneexp.sweep.signals import check_signals, exit_code_of_signal

CHECK_SIGNALS_S = 0.1
START_JOIN_LIMIT_S = 5.0  # of a sweep that ends before Ray has started, which can't be interrupted
CONNECT_LIMIT_S = 60.0  # the port may belong to another program
# Imported before workers are forked. The others are those of Tune.
_OF_TRIALS = ("tuneexp.trial.cohorts.cohort_trial", "pandas", "pyarrow.fs")
_OBJECT_STORE_BYTES = 100 * 2**20  # results are small; checkpoints go through files


class RaySession:
    """Ray during a sweep: the initialised one, the cluster at `address` (or RAY_ADDRESS), or a local one that ends with
    the sweep.

    It starts in a thread during the imports of the driver, and stops in it during the last delivery to MLflow. This
    saves seconds each. `ready()` waits for the start."""

    def __init__(
        self, cpus: int, address: str | None, snapshot_period_s: float, verbose: bool = False, gpus: bool = False
    ) -> None:
        self._cpus, self._gpus, self._verbose = cpus, gpus, verbose
        self._address = cluster_address(address)
        self._settings = {**SWEEP_SETTINGS, SNAPSHOT_PERIOD: str(snapshot_period_s)}
        self._started, self._stop = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._abandoned = False
        self._temporary: Path | None = None  # of a local Ray
        self._origin: Path | None = None
        # One thread for start and stop: Linux kills Ray's processes when the thread that started them ends.
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
        self._exit = ExitStack()
        self.on_lost: Callable[[str], None] | None = (
            None  # called with the reason, in a thread, before the process ends
        )

    def __enter__(self) -> Self:
        if not self._verbose:
            for name in ("ray", "ray.tune", "ray.train", "ray.data"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
        if self._address is not None:
            self._exit.enter_context(variables_restored())
        elif running_ray() is None:
            self._temporary = self._exit.enter_context(private_surroundings())
            self._exit.enter_context(cleaned(partial(kill_ray, self._temporary)))
        self._exit.enter_context(settings_in_environment(self._settings))
        if self._temporary is not None:
            self._origin = self._exit.enter_context(worker_origin(self._temporary.parent, _OF_TRIALS))
        self._thread.start()
        return self

    def ready(self) -> None:
        """Wait until Ray runs. UserError if the cluster can't be reached."""
        if not self._wait(CONNECT_LIMIT_S if self._address else math.inf):
            self._abandoned = True  # Ray's retries can't be interrupted
            raise UserError(
                f"timed out after {CONNECT_LIMIT_S:.0f} s connecting to Ray at {self._address!r}; a cluster's address "
                f"is HOST:6379 as `ray start --head` prints it (not the dashboard's port)\n{token_advice()}"
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
        """Begin to stop Ray. Returns at once."""
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
            ours = not ray.is_initialized()  # a Ray that was initialised before is not stopped
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
        """Watch the cluster until the sweep ends. If it is lost while the main thread waits in a call of Ray that never
        returns, end the process."""
        loss = LossDetector()
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
        from tuneexp.ray_support.start import start_local

        assert self._temporary is not None
        common |= {"object_store_memory": _OBJECT_STORE_BYTES, "origin": self._origin}
        start_local(self._temporary, self._cpus, self._gpus, **common)


def runs_elsewhere(address: str | None) -> bool:
    """Return True if trials run on a Ray that this process does not start. Its capacity is known once connected."""
    return cluster_address(address) is not None or running_ray() is not None


def _join(address: str, **common: Any) -> None:
    from tuneexp.ray_support.start import connect

    try:
        connect(address, runtime_env={"env_vars": worker_environment()}, **common)
    except ConnectionError as error:
        raise UserError(f"{no_cluster(address, error)}\n{token_advice()}") from None
    except RuntimeError as error:
        if "Version mismatch" not in str(error):
            raise
        lines = " ".join(str(error).split())
        raise UserError(f"the cluster at {address!r} has other versions than this machine: {lines[:300]}") from None
