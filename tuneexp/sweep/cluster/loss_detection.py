"""Detection of a lost cluster: a process of the local Ray has ended, or the head node does not answer."""

from __future__ import annotations

import time

from tuneexp.errors import TuneexpError
from tuneexp.ray_support.lost_processes import lost_process
from tuneexp.sweep.cluster.address import check_port

# Tune notices a loss in its next step, unless its thread waits for the head: Ray gives up after 60 s at the earliest,
# and then ends the process without a message. The head of a cluster may recover; a process of the local Ray can't.
OWN_LIMIT_S, HEAD_LIMIT_S = 15.0, 50.0
CHECK_PERIOD_S, CONNECT_LIMIT_S = 2.0, 5.0


class ClusterLost(TuneexpError):
    """The Ray of the sweep is lost: it can run no more trials."""


class LossDetector:
    """Measures how long the cluster has been lost."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def reason(self) -> str | None:
        """Return the cause after the timeout, else None."""
        own = lost_process()
        lost, limit_s = own or _silent_head(), OWN_LIMIT_S if own else HEAD_LIMIT_S
        if lost is None:
            self._since_s = None
            return None
        now_s = time.monotonic()
        self._since_s = self._since_s or now_s
        return lost if now_s - self._since_s >= limit_s else None


def _silent_head() -> str | None:
    import ray

    node = ray._private.worker._global_node
    if node is None:
        return None
    try:
        check_port(node.gcs_address, CONNECT_LIMIT_S)
    except OSError as error:
        return f"Ray is lost: its head at {node.gcs_address} has not answered for {HEAD_LIMIT_S:.0f} s ({error})"
    return None
