"""Ray cluster of several nodes on this machine: real raylets, as `ray start` makes them, but without the dashboard."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.faults.harness import ROOT
from tuneexp.ray_support.environment import SENT_TO_WORKERS
from tuneexp.ray_support.patches import no_dashboard

# Settings of nodes by docs/scaling.md.
_SETTINGS = {"RAY_worker_niceness": "0"}


@contextmanager
def cluster_of(cpus: int, **environment: str) -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster` whose head has `cpus`. Its nodes lack the environment variables that a driver sets.

    With its `temporary` as RAY_TMPDIR, a process on this machine finds it at the address "auto"."""
    from ray.cluster_utils import Cluster

    temporary = tempfile.mkdtemp(prefix="tx-")  # short: Ray's socket paths have a limit of 107 characters
    with pytest.MonkeyPatch.context() as patch, no_dashboard():
        for name in SENT_TO_WORKERS:
            patch.delenv(name, raising=False)
        for name, value in {**_SETTINGS, "RAY_TMPDIR": temporary, "PYTHONPATH": str(ROOT)}.items():
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args=node(cpus, **environment))
        cluster.temporary = temporary
        try:
            yield cluster
        finally:
            cluster.shutdown()
            shutil.rmtree(temporary, ignore_errors=True)


def node(cpus: int, **environment: str) -> dict[str, Any]:
    """Arguments of `Cluster.add_node`."""
    return {
        "num_cpus": cpus,
        "object_store_memory": 100 * 2**20,
        "include_dashboard": False,
        "no_monitor": True,
        "include_log_monitor": False,
        "env_vars": environment or None,
    }


def raylet_of(added: Any) -> int:
    """Process id of the node's raylet, the parent of its workers."""
    (process,) = added.all_processes["raylet"]
    return int(process.process.pid)
