"""Workers of Ray that are forked from a process that has imported what a trial needs, which takes 2 to 4 s of a core.

Each is a real worker process, with the arguments, the environment and the streams that Ray gave it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_COMMAND, _SETUP = "--python_worker_command=", "setup_worker.py"
_ORIGIN = Path(__file__).with_name("worker_origin.py")


@contextmanager
def forked_workers() -> Iterator[None]:
    """Context in which a Ray that starts here gets forked workers. It has to end before the context."""
    with tempfile.TemporaryDirectory(prefix="tx-fork-") as folder, pytest.MonkeyPatch.context() as patch:
        request_workers(folder, patch)
        yield


def request_workers(folder: str, patch: pytest.MonkeyPatch) -> None:
    """Let workers of a Ray that starts here be forked by the process that serves `folder`. The first worker starts it
    if there is none."""
    from ray._private import ray_constants, services

    start = services.start_ray_process

    def start_process(command: list[str], process_type: str, *args: Any, **kwargs: Any) -> Any:
        if process_type == ray_constants.PROCESS_TYPE_RAYLET:
            command = [_requesting(argument, folder) for argument in command]
        return start(command, process_type, *args, **kwargs)

    patch.setattr(services, "start_ray_process", start_process)


def _requesting(argument: str, folder: str) -> str:
    """Return `argument` of a raylet's command, with a request for a fork in place of the first step of a worker."""
    if not argument.startswith(_COMMAND):
        return argument
    python, _, others = argument.removeprefix(_COMMAND).partition(" ")
    assert others.partition(" ")[0].endswith(_SETUP), argument
    return f"{_COMMAND}{python} -I -S {_ORIGIN} {folder} {others}"
