"""Sweeps share one Ray: a test that leaves CPUs reserved is named."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def cpus_given_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Warn of a test that leaves CPUs of the shared Ray reserved: a later one may wait for them."""
    yield
    if "ray_cluster" in request.fixturenames and not _given_back():
        warnings.warn(f"{request.node.nodeid} left CPUs of Ray reserved", stacklevel=1)


def _given_back(patience_s: float = 5.0) -> bool:
    import ray

    limit_s = time.monotonic() + patience_s
    while ray.is_initialized() and ray.available_resources().get("CPU", 0) < ray.cluster_resources().get("CPU", 0):
        if time.monotonic() > limit_s:
            return False
        time.sleep(0.05)
    return True
