"""A process that forks others, which spares each of them the seconds of its imports.

A fork is a child of the process that requested it, as one that was started: it is killed and waited for like that."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

# Another thread of a server could hold a lock at the moment of a fork: of pyarrow's allocator, MLflow or OpenBLAS.
_WITHOUT_THREADS = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_CLONE = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)  # number of the system call
_CLONE_PARENT = 0x8000  # the new process is a sibling of this one
SUPPORTED = _CLONE is not None
ROOT = Path(__file__).parents[1]

Run = Callable[[Any], NoReturn]


def started_server(module: str, **environment: str) -> socket.socket:
    """Start `python -m module FD`, which calls `serve`. Return this end; closing it ends the process."""
    ours, theirs = socket.socketpair()
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **environment, **_WITHOUT_THREADS, "PYTHONPATH": path},
            start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return ours


def requested(server: socket.socket, request: Any, handles: Sequence[int]) -> int:
    """Return the process id of a new fork.

    Args:
        request: JSON that it is called with.
        handles: its standard input, output and error.
    """
    data = json.dumps([request, os.getcwd()]).encode()
    socket.send_fds(server, [len(data).to_bytes(8, "big")], handles)
    server.sendall(data)
    return int.from_bytes(_exactly(server, 8), "big")


def start_as_fork(process: Any, server: socket.socket, request: Any, popen_arguments: Sequence[Any]) -> None:
    """Do the work of `subprocess.Popen._execute_child`. popen_arguments: those after `args`."""
    handles = popen_arguments[9:15]  # the six ends of the three streams
    read, _, _, write, _, errors = handles
    process.pid = requested(server, request, [read, write, errors])
    process._child_created = True
    process._close_pipe_fds(*handles)


def serve(server: socket.socket, modules: Sequence[str], run: Run) -> None:
    """Import the modules, then fork a process that calls `run` for each request, until the other end is closed."""
    for module in modules:
        importlib.import_module(module)
    while True:
        size, handles, _, _ = socket.recv_fds(server, 8, 3)
        if not size:
            return
        request, folder = json.loads(_exactly(server, int.from_bytes(size, "big")))
        pid = _forked()
        if not pid:
            server.close()
            take_streams(handles)
            os.chdir(folder)
            run(request)
        for handle in handles:
            os.close(handle)
        server.sendall(pid.to_bytes(8, "big"))


def take_streams(handles: Sequence[int]) -> None:
    """Make the handles the standard streams of this process."""
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    # A fork of this process may take others: those of these objects stay open then.
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def take_environment(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def run_and_exit(work: Callable[[], object]) -> NoReturn:
    """Call `work` as the whole program of this process, with what Python does at its end."""
    import atexit
    import threading
    import traceback

    code = 1
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _forked() -> int:
    """As `os.fork`, but the new process is a child of this process's parent. This process has one thread."""
    threads = [Path(f"/proc/self/task/{one}/comm").read_text() for one in os.listdir("/proc/self/task")]
    assert len(threads) == 1, threads
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = int(ctypes.PyDLL(None).syscall(_CLONE, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid:
        python.PyOS_AfterFork_Parent()
    else:
        python.PyOS_AfterFork_Child()
    return pid


def _exactly(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = end.recv(size - len(data))
        if not more:
            raise EOFError("the process to fork from has ended")
        data += more
    return data
