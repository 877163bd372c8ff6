"""A Ray for whoever samples or learns remotely without a sweep around it."""

from __future__ import annotations

import logging
import os
from typing import Any

import ray

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
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    address = os.environ.get("RAY_ADDRESS")
    if address and address != "local":
        try:
            ray.init(address=address, **common)
        except ConnectionError as error:
            raise UserError(f"no Ray cluster at RAY_ADDRESS={address!r} ({error}); start it, or unset it") from None
        return
    # As many as are asked for, also on fewer cores: this Ray serves one trial, whose runners may mostly wait.
    cpus = max(os.cpu_count() or 1, -int(-n_cpus // 1))
    ray.init(address="local", num_cpus=cpus, num_gpus=None if n_gpus else 0, include_dashboard=False, **common)
