"""Detection of a local Ray whose head or raylet has ended.

Ray is imported at the first check only: a sweep imports this module before Ray."""

from __future__ import annotations

import logging
import threading

logger = logging.getLogger(__name__)

_NEEDED = {"gcs_server": "its head (gcs_server)", "raylet": "its only node (raylet)"}
# Ray ends the driver without a message: at once if the raylet is dead and an object is needed, 60 s after the head.
_PERIOD_S = 0.2


def lost_process() -> str | None:
    """Return the reason why the Ray started by this process is dead; None if it runs, or was not started here."""
    import ray

    node = ray._private.worker._global_node
    for name, process in node.dead_processes() if node is not None else ():
        if name in _NEEDED:
            code = process.returncode
            ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return f"Ray is lost: {_NEEDED[name]} {ended}"
    return None


def report_loss(ended: threading.Event) -> None:
    """Log an error if Ray is lost before `ended` is set."""
    while not ended.wait(_PERIOD_S):
        reason = lost_process()
        if reason is not None:
            logger.error("%s; env runners and learners can't continue, and the process will end", reason)
            return
