"""Delivering processes that are forked from a process that has imported MLflow, which takes 1 to 2 s of a core.

Each is a real process and a child of the test process: it is killed, waited for and talked to as one that was started.
Run as a script, this is the process to fork from."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from tests.fork_server import SUPPORTED, run_and_exit, serve, start_as_fork, started_server, take_environment
from tuneexp.tracking import delivery_process
from tuneexp.tracking.delivery_process import DeliveringProcess
from tuneexp.tracking.store_errors import SHORT_PATIENCE

MODULES = (
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.db.utils",
)


def _own_server() -> socket.socket:
    return started_server(__name__, **SHORT_PATIENCE)


@contextmanager
def forked_deliveries(server: Callable[[], socket.socket] = _own_server) -> Iterator[None]:
    """Fork delivering processes from a server that starts with the first of them, and ends with this context."""
    start_itself = DeliveringProcess._execute_child
    found: list[socket.socket] = []

    def execute_child(process: Any, args: Sequence[str], *others: Any) -> None:
        usual = [*delivery_process._command(), str(args[-1])]
        if list(args) != usual:
            start_itself(process, args, *others)
            return
        if not found:
            found.append(server())
        start_as_fork(process, found[0], [str(args[-1]), others[5]], others)  # others[5]: its environment

    with pytest.MonkeyPatch.context() as patch:
        if SUPPORTED:
            patch.setattr(DeliveringProcess, "_execute_child", execute_child)
        try:
            yield
        finally:
            for end in found:
                end.close()


def deliver(request: tuple[str, dict[str, str]]) -> NoReturn:
    """Run the command of `delivery_process`. request: folder and environment."""
    folder, environment = request
    take_environment(environment)
    sys.argv = ["-c", folder]
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    os.nice(delivery_process._PRIORITY)

    def work() -> None:
        from tuneexp.tracking.delivery import main

        main()

    run_and_exit(work)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), (*MODULES, "tuneexp.tracking.runs"), deliver)
