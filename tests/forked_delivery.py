"""Delivering processes that are forked from a process that has imported MLflow, which takes 1 to 2 s of a core.

Each is a real process and a child of the test process: it is killed, waited for and talked to as one that was started.
Processes that a command line starts import MLflow themselves. Run as a script, this is the process to fork from."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tuneexp.tracking import delivery_process
from tuneexp.tracking.delivery_process import SHORT_PATIENCE, DeliveringProcess

_CLONE = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)  # number of the system call
_CLONE_PARENT = 0x8000  # the new process is a sibling, so the test process can wait for it
_MODULES = (
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.db.utils",
    "tuneexp.tracking.runs",
)


@contextmanager
def forked_deliveries() -> Iterator[None]:
    """Fork delivering processes from one that starts with the first of them, and ends with this context."""
    start_itself = DeliveringProcess._execute_child
    origin: list[socket.socket] = []

    def execute_child(process: Any, args: Sequence[str], *others: Any) -> None:
        usual = [*delivery_process._command(), str(args[-1])]
        if list(args) != usual:
            start_itself(process, args, *others)
            return
        # By `subprocess.Popen.__init__`: environment, and the six ends of the three streams.
        environment, handles = others[5], others[9:15]
        if not origin:
            origin.append(_origin())
        request = json.dumps([str(args[-1]), os.getcwd(), environment]).encode()
        read, _, _, write, _, errors = handles
        socket.send_fds(origin[0], [len(request).to_bytes(8, "big")], [read, write, errors])
        origin[0].sendall(request)
        process.pid = int.from_bytes(_exactly(origin[0], 8), "big")
        process._child_created = True
        process._close_pipe_fds(*handles)

    with pytest.MonkeyPatch.context() as patch:
        if _CLONE is not None:
            patch.setattr(DeliveringProcess, "_execute_child", execute_child)
        try:
            yield
        finally:
            for end in origin:
                end.close()


def _origin() -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs:
        root = str(Path(__file__).parents[1])
        environment = {**os.environ, **SHORT_PATIENCE, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}
        subprocess.Popen(
            [sys.executable, "-m", "tests.forked_delivery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], env=environment, start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return ours


def _exactly(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = end.recv(size - len(data))
        if not more:
            raise EOFError("the process to fork from has ended")
        data += more
    return data


def _serve(end: socket.socket) -> None:
    for module in _MODULES:
        importlib.import_module(module)
    while True:
        size, handles, _, _ = socket.recv_fds(end, 8, 3)
        if not size:
            return
        folder, place, environment = json.loads(_exactly(end, int.from_bytes(size, "big")))
        pid = _forked()
        if not pid:
            end.close()
            _deliver(folder, place, environment, handles)
        for handle in handles:
            os.close(handle)
        end.sendall(pid.to_bytes(8, "big"))


def _forked() -> int:
    """As `os.fork`, but the new process is a child of this process's parent."""
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = int(ctypes.PyDLL(None).syscall(_CLONE, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid:
        python.PyOS_AfterFork_Parent()
    else:
        python.PyOS_AfterFork_Child()
    return pid


def _deliver(folder: str, place: str, environment: Mapping[str, str], handles: Sequence[int]) -> None:
    """As the command of `delivery_process`, in a process that has its modules."""
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in enumerate(("r", "w", "w")))  # noqa: SIM115
    sys.argv = ["-c", folder]
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    os.nice(delivery_process._PRIORITY)
    try:
        from tuneexp.tracking.delivery import main

        main()
    finally:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
