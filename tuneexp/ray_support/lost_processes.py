"""Detection of a Ray of this process's own that has lost a process it can't do without.

Imports no Ray before it is asked: a sweep loads this before Ray."""

from __future__ import annotations

import logging
import threading

logger = logging.getLogger(__name__)

_NEEDED = {"gcs_server": "its head (gcs_server)", "raylet": "its only node (raylet)"}
# Ray ends the process without a message: at once where the raylet is dead and an object is needed, 60 s after the head.
_PERIOD_S = 0.2


def lost_process() -> str | None:
    """The reason why the Ray that this process has started can run nothing any more. None: it can, or is another's."""
    import ray

    node = ray._private.worker._global_node
    for name, process in node.dead_processes() if node is not None else ():
        if name in _NEEDED:
            code = process.returncode
            ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return f"Ray is lost: {_NEEDED[name]} {ended}"
    return None


def report_loss(ended: threading.Event) -> None:
    """Until `ended`: an error is logged once Ray is lost."""
    while not ended.wait(_PERIOD_S):
        reason = lost_process()
        if reason is not None:
            logger.error("%s; env runners and learners can't go on, and the process will end", reason)
            return
