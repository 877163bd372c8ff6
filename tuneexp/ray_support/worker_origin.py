"""Process that imports what trials need while Ray starts, and from which Ray's workers are forked.

Importing torch, Ray and the rest takes 3 s of a core. Without the origin, each worker would do it after Ray's start.
A forked worker is a process as Ray would start it, with the arguments, environment and streams that Ray gave it.

Nothing is forked if the origin has more than one thread, since another thread may hold a lock at the moment of the
fork. Then workers start as usual, as they do with a runtime environment of their own."""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tuneexp.processes import python_command, uncollected_imports
from tuneexp.ray_support.random_ids import generator_unused
from tuneexp.ray_support.worker_request import FORKED

_OF_RAY = ("ray._private.workers.default_worker", "ray.tune")
_ONE_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # pyarrow's allocator starts another one otherwise
_FIRST_TO_BE_KILLED = "1000"  # by the kernel when memory is short, as Ray sets it for workers


@contextmanager
def worker_origin(folder: Path, modules: Sequence[str]) -> Iterator[Path | None]:
    """Start the origin, and end it with the context. It ends with this process, too.

    Args:
        folder: private folder for its socket.
        modules: modules to import before Ray runs, none of which imports Ray.

    Yields:
        The socket; None on systems where a process with these libraries can't be forked safely.
    """
    if sys.platform != "linux":
        yield None
        return
    path = folder / "o"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(64)
        process = subprocess.Popen(
            python_command(f"from tuneexp.ray_support.worker_origin import main; main({server.fileno()}, {modules!r})"),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            pass_fds=[server.fileno()], env={**os.environ, **_ONE_THREAD},
        )  # fmt: skip
    with process:
        try:
            yield path
        finally:
            process.kill()


def main(server: int, modules: Sequence[str]) -> None:
    """Import the modules, and fork a worker for each request, until the driver closes standard input."""
    _import(modules)
    with socket.socket(fileno=server) as listening:
        arguments = _serve(listening)
    if arguments:  # in a worker
        _run(arguments)


def _serve(server: socket.socket) -> list[str]:
    """Return the arguments in each forked worker, and nothing in the origin, at its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that no worker stays as a zombie
    closed = sys.stdin.fileno()
    while closed not in select.select([server.fileno(), closed], [], [])[0]:
        end, _ = server.accept()
        with end, end.makefile("rb") as sent:
            _, handles, _, _ = socket.recv_fds(end, 1, 3)
            arguments, folder, environment = json.load(sent)
            _import_ray(environment)
            if len(os.listdir("/proc/self/task")) > 1:
                break
            if not os.fork():
                _become(handles, folder, environment)
                return list(arguments)
            end.sendall(FORKED)
        for handle in handles:
            os.close(handle)
    return []


def _import_ray(environment: dict[str, str]) -> None:
    """Import what Ray's workers do, at the first request only. Ray reads environment variables when it is imported."""
    if _OF_RAY[0] not in sys.modules:
        _take_environment({**environment, **_ONE_THREAD})
        with generator_unused():
            _import(_OF_RAY)


def _import(modules: Sequence[str]) -> None:
    with uncollected_imports():
        for module in modules:
            importlib.import_module(module)


def _take_environment(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _become(handles: Sequence[int], folder: str, environment: dict[str, str]) -> None:
    """In a worker: take over what Ray gave to it."""
    import numpy as np

    os.setpgid(0, 0)  # Ray ends the process group of each worker
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(folder)
    _take_environment(environment)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED)
    np.random.seed()  # of users' code, different in each process


def _run(arguments: list[str]) -> None:
    """Run the script of a worker as a new Python would."""
    import runpy

    sys.argv = arguments
    if not os.environ.get("PYTHONSAFEPATH"):
        sys.path.insert(0, os.path.dirname(arguments[0]))
    runpy.run_path(arguments[0], run_name="__main__")
