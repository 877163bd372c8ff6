"""The processes that `forked_workers` forks from, and the small process that Ray starts for each worker.

The latter, with the arguments of `setup_worker.py`, requests a fork and ends. Workers are forked from a process of
their job, because Ray reads the job from the environment when it is imported. That one is forked from a process that
has the libraries. Workers with a runtime environment of their own start as usual. A script, run with -I and -S."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence

LIBRARIES = ("gymnasium", "pandas", "pyarrow.fs", "pydantic", "torch")
_OF_JOB = ("ray._private.workers.default_worker", "tuneexp.trial.trainable", "tuneexp.trial")
_OF_SETUP = ("--language=", "--serialized-runtime-env-context=")  # arguments of `setup_worker.py` only
_POLL_S = 1.0


def _request(folder: str, setup: str, arguments: list[str]) -> None:
    """Request a fork that runs `arguments`, and wait for it. With a runtime environment: become the worker."""
    context = [one for one in arguments if one.startswith(_OF_SETUP[1])]
    if context and not context[0].endswith("={}"):
        os.execv(sys.executable, [sys.executable, setup, *arguments])
    own = [one for one in arguments if not one.startswith(_OF_SETUP)]
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        libraries, job = _socket_of_libraries(folder), os.path.join(folder, os.environ.get("RAY_JOB_ID") or "no-job")
        if not os.path.exists(libraries) and os.fork():  # this process, a child of the raylet
            os.execv(sys.executable, [sys.executable, __file__, folder])
        _wait_for(libraries)
        if not os.path.exists(job):
            _send(libraries, [job])
            _wait_for(job)
    _send(job, own)


def _socket_of_libraries(folder: str) -> str:
    return os.path.join(folder, "libraries")


def _wait_for(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.01)


def _send(path: str, arguments: list[str]) -> None:
    """Send arguments and what a process inherits, and wait until it exists."""
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(path)
        socket.send_fds(end, [b"."], [0, 1, 2])
        end.sendall(json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode())
        end.shutdown(socket.SHUT_WR)
        end.recv(1)  # returns when it exists


def serve(folder: str, group: int) -> None:
    """Fork a process for each job, until the parent of this process has ended.

    group: process group, 0 for one of its own. Ray ends the process group of each worker."""
    os.setpgid(0, group)
    for module in LIBRARIES:
        importlib.import_module(module)
    _serve(_socket_of_libraries(folder), lambda arguments: _serve_job(*arguments))


def _serve_job(path: str) -> None:
    from tuneexp.ray_support.random_ids import generator_unused

    with generator_unused():
        for module in _OF_JOB:
            importlib.import_module(module)
    _serve(path, _become_worker)


def _serve(path: str, run: Callable[[list[str]], None]) -> None:
    """Fork a process that calls `run` for each request, until the parent of this process has ended."""
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path + ".new")
        server.listen(64)
        os.rename(path + ".new", path)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that no fork stays as a zombie
        while os.path.exists(path) and os.getppid() == parent:
            if select.select([server], [], [], _POLL_S)[0]:
                _fork(server, run)


def _fork(server: socket.socket, run: Callable[[list[str]], None]) -> None:
    end, _ = server.accept()
    with end:
        _, handles, _, _ = socket.recv_fds(end, 1, 3)
        request = json.loads(b"".join(iter(lambda: end.recv(1 << 16), b"")))
        if os.fork():
            for handle in handles:
                os.close(handle)
            return
    server.close()
    _become(run, handles, *request)


def _become(
    run: Callable[[list[str]], None],
    handles: Sequence[int],
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
) -> None:
    """Call `run` in a process that has inherited what was sent."""
    import traceback

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = 1
    try:
        run(arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        if code:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become_worker(arguments: list[str]) -> None:
    """Run the script of a worker as a new process of Python would."""
    import runpy

    os.setpgid(0, 0)
    sys.argv = arguments
    own, script = os.path.dirname(__file__), os.path.dirname(arguments[0])
    sys.path[:] = [script if place == own else place for place in sys.path]  # none of them with PYTHONSAFEPATH
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    _, _folder, *_arguments = sys.argv
    if _arguments:
        _request(_folder, _arguments[0], _arguments[1:])
    else:
        serve(_folder, os.getpgid(os.getppid()))
