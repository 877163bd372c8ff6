"""Refusal of nested sweeps: in a file that is being imported, or in a worker of Ray."""

from __future__ import annotations

import sys

from tuneexp.addresses import refuse_while_importing
from tuneexp.errors import UserError


def refuse_nested_sweep() -> None:
    """Raise UserError, which names the guard to write, where this process is a worker or imports a user's file."""
    refuse_while_importing("a sweep")
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized() and ray._private.worker.global_worker.mode == ray.WORKER_MODE:
        raise UserError(
            "a sweep can't start inside of a Ray worker, which imports the script of a sweep to find what is its own "
            "there\nput what starts it under `if __name__ == '__main__':`"
        )
