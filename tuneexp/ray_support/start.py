"""Start of Ray on this machine and connection to a cluster. Nothing else calls `ray.init`."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray

from tuneexp.errors import TuneexpError, UserError
from tuneexp.ray_support.environment import ADDRESS, WORKER_SETTINGS, set_missing
from tuneexp.ray_support.lost_processes import report_loss
from tuneexp.ray_support.patches import few_services, loopback_only, no_dashboard, own_session, workers_from
from tuneexp.ray_support.private_session import private_surroundings
from tuneexp.ray_support.worker_path import DriversPath

_OF_THIS_PROCESS = ExitStack()
atexit.register(_OF_THIS_PROCESS.close)


def ensure_ray(n_cpus: float, n_gpus: float = 0.0) -> None:
    """Use the Ray of this process, or connect to RAY_ADDRESS, or start a local Ray that ends with the process.

    Args:
        n_cpus: CPUs of all env runners and learners.
        n_gpus: GPUs of all learners.

    Raises:
        UserError: Ray has fewer CPUs or GPUs in total, or RAY_ADDRESS can't be reached.
    """
    if not ray.is_initialized():
        _start(n_cpus, n_gpus)
    if ray.util.get_current_placement_group() is not None:
        return  # a trial under Tune: its resources are reserved already
    total = ray.cluster_resources()
    for kind, wanted in {"CPU": n_cpus, "GPU": n_gpus}.items():
        there = total.get(kind, 0.0)
        if there < wanted:
            raise UserError(
                f"env runners and learners need {wanted:g} {kind}s, the Ray here has {there:g}; write a smaller "
                f"{_FEWER[kind]}"
            )


_FEWER = {
    "CPU": "num_env_runners, num_cpus_per_env_runner or num_learners",
    "GPU": "num_learners or num_gpus_per_learner",
}


def _start(n_cpus: float, n_gpus: float) -> None:
    set_missing(WORKER_SETTINGS)
    address = os.environ.get(ADDRESS)
    if address and address != "local":
        try:
            connect(address, log_to_driver=False, logging_level=logging.CRITICAL)
        except ConnectionError as error:
            raise UserError(f"no Ray cluster at RAY_ADDRESS={address!r} ({error}); start it, or unset it") from None
        return
    # At least the requested number, even on fewer cores: this Ray serves one trial, whose runners may mostly wait.
    cpus = max(os.cpu_count() or 1, -int(-n_cpus // 1))
    _OF_THIS_PROCESS.close()  # a Ray that the user has shut down
    _OF_THIS_PROCESS.enter_context(local_ray(cpus, n_gpus > 0, logging_level=logging.CRITICAL))
    _OF_THIS_PROCESS.enter_context(_loss_reported())


@contextmanager
def _loss_reported() -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=report_loss, args=[ended], name="ray-loss", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def connect(address: str, **settings: Any) -> None:
    """Connect to a cluster. settings: further arguments of `ray.init`, which raises ConnectionError."""
    ray.init(address=address, job_config=DriversPath(), **settings)


@contextmanager
def local_ray(cpus: int, gpus: bool = False, **settings: Any) -> Iterator[None]:
    """Context of a local Ray with a temporary folder. Both are removed at the end."""
    with private_surroundings() as temporary:
        try:
            start_local(temporary, cpus, gpus, **settings)
            yield
        finally:
            ray.shutdown()


def start_local(
    temporary: Path,
    cpus: int,
    gpus: bool = False,
    log_to_driver: bool = False,
    origin: Path | None = None,
    **settings: Any,
) -> None:
    """Start a new local Ray. It never connects to another Ray of this machine, such as one of a killed sweep.

    Args:
        temporary: folder from `private_surroundings`, which has to exist as long as this Ray.
        cpus: CPUs of this Ray.
        gpus: Ray may use the GPUs of this machine.
        log_to_driver: print the workers' output.
        origin: socket of the worker origin that workers are forked from; None starts them as usual.
        settings: further arguments of `ray.init`.

    Raises:
        TuneexpError: Ray did not start.
    """
    environment = dict(os.environ)
    try:
        services = few_services(log_monitor=log_to_driver)
        with services, no_dashboard(), workers_from(origin), loopback_only(), own_session():
            ray.init(
                address="local",
                job_config=DriversPath(),
                num_cpus=cpus,
                num_gpus=None if gpus else 0,  # None: Ray counts them
                include_dashboard=False,
                log_to_driver=log_to_driver,
                _temp_dir=str(temporary),
                **settings,
            )
    except Exception as error:  # Ray raises bare exceptions, too
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise TuneexpError(f"Ray did not start on this machine: {reason[:300]}") from error
    _STARTED.update(node=_node(), environment=environment)


_STARTED: dict[str, Any] = {"node": None, "environment": {}}


def _node() -> Any:
    from ray._private import worker

    return worker._global_node


def environment_of_workers() -> dict[str, str]:
    """Return the environment variables that workers inherit, or none if this process did not start its Ray."""
    return dict(_STARTED["environment"]) if _STARTED["node"] is _node() else {}
