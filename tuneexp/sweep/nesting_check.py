"""Refusal of nested sweeps: in a file that is being imported, or in a worker of Ray."""

from __future__ import annotations

from tuneexp.addresses import refuse_while_importing
from tuneexp.errors import UserError
from tuneexp.ray_support.running import running_ray


def refuse_nested_sweep() -> None:
    """Raise UserError with the guard to write if this process is a worker, or imports a file of the user."""
    refuse_while_importing("a sweep")
    ray = running_ray()
    if ray is not None and ray._private.worker.global_worker.mode == ray.WORKER_MODE:
        raise UserError(
            "a sweep can't start in a Ray worker, which imports the script of the sweep\n"
            "put the code that starts it under `if __name__ == '__main__':`"
        )
