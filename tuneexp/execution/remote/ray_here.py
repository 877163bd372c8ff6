"""Ray on this machine: for a sweep, or for whoever samples or learns remotely without one."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray
from ray._private import parameter

from tuneexp.errors import UserError
from tuneexp.execution.remote.settings import WORKER_SETTINGS


def ensure_ray(n_cpus: float, n_gpus: float = 0.0) -> None:
    """The Ray that this process is part of, the cluster at RAY_ADDRESS, or one on this machine that ends with the
    process. Raises `UserError` where there will never be as many CPUs and GPUs for env runners and learners."""
    if not ray.is_initialized():
        _start(n_cpus, n_gpus)
    if ray.util.get_current_placement_group() is not None:
        return  # a trial under Tune: its resources are reserved already
    total = ray.cluster_resources()
    for kind, wanted in {"CPU": n_cpus, "GPU": n_gpus}.items():
        there = total.get(kind, 0.0)
        if there < wanted:
            raise UserError(
                f"env runners and learners want {wanted:g} {kind}s, the Ray here has {there:g}; write a smaller "
                f"{_FEWER[kind]}"
            )


_FEWER = {
    "CPU": "num_env_runners, num_cpus_per_env_runner or num_learners",
    "GPU": "num_learners or num_gpus_per_learner",
}


def _start(n_cpus: float, n_gpus: float) -> None:
    for name, value in WORKER_SETTINGS.items():
        os.environ.setdefault(name, value)
    address = os.environ.get("RAY_ADDRESS")
    if address and address != "local":
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except ConnectionError as error:
            raise UserError(f"no Ray cluster at RAY_ADDRESS={address!r} ({error}); start it, or unset it") from None
        return
    # As many as are asked for, also on fewer cores: this Ray serves one trial, whose runners may mostly wait.
    cpus = max(os.cpu_count() or 1, -int(-n_cpus // 1))
    start_local(cpus, gpus=n_gpus > 0, logging_level=logging.CRITICAL)


def start_local(cpus: int, gpus: bool = False, log_to_driver: bool = False, **settings: Any) -> None:
    """A Ray of this process: never somebody else's on this machine, nor what a killed sweep left behind."""
    with _few_services(log_monitor=log_to_driver):
        ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=None if gpus else 0,  # None: Ray counts them
            include_dashboard=False,
            log_to_driver=log_to_driver,
            **settings,
        )


@contextmanager
def _few_services(log_monitor: bool) -> Iterator[None]:
    """Ray starts without its autoscaler, since one machine can't grow, and where nobody wants to see what workers
    print, without what collects it: two processes, a second or two of a core each. Ray has no public setting for
    either; where it no longer knows these, it starts them."""
    of_ray = parameter.RayParams
    wanted = {"no_monitor": True, "include_log_monitor": log_monitor}
    known = inspect.signature(of_ray).parameters
    parameter.RayParams = partial(of_ray, **{name: on for name, on in wanted.items() if name in known})
    try:
        yield
    finally:
        parameter.RayParams = of_ray
