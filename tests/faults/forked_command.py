"""`python -m tuneexp` in a process that is forked from one that has imported the libraries, which takes 4 s of a core.

Its workers and its delivering process are forked as well. It imports tuneexp itself, so that `pause` finds each module.
All are real processes, which a kill finds where those of a started command are."""

from __future__ import annotations

import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from tests.fork_server import run_and_exit, serve, start_as_fork, started_server, take_environment
from tests.worker_origin import LIBRARIES
from tests.worker_origin import serve as serve_workers

_PAUSE = Path(__file__).parent / "pause" / "sitecustomize.py"
# Not Ray, which reads the environment when it is imported.
_MODULES = (
    *LIBRARIES,
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking",
    "optuna",
    "pytest",
    "rich.live",
    "scipy.stats",
    "typer",
)


class ForkedCommand(subprocess.Popen[str]):
    """The command `[python, "-m", "tuneexp", ...]` with three streams of its own, as the leader of a session."""

    def _execute_child(self, args: Any, *others: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tx-fork-")  # deleted with this object, also after a kill
        start_as_fork(self, _server(), [list(args[3:]), others[5], self._folder.name], others)


@cache
def _server() -> socket.socket:
    return started_server(__name__)


def _run(request: tuple[Sequence[str], dict[str, str], str]) -> NoReturn:
    arguments, environment, folder = request
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    take_environment(environment)
    sys.argv = ["tuneexp", *arguments]
    runpy.run_path(str(_PAUSE))
    if not os.fork():
        _release_streams()
        serve_workers(folder, 0)
        os._exit(0)
    ours, theirs = socket.socketpair()
    if not os.fork():
        ours.close()
        _serve_deliveries(theirs)
    theirs.close()
    run_and_exit(lambda: _main(folder, ours))


def _release_streams() -> None:
    """The reader of a stream waits until no process has it any more."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)


def _serve_deliveries(server: socket.socket) -> NoReturn:
    _release_streams()
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    from tests.forked_delivery import deliver

    serve(server, (), deliver)
    os._exit(0)


def _main(folder: str, deliveries: socket.socket) -> None:
    import pytest

    from tests.forked_delivery import forked_deliveries
    from tests.forked_workers import request_workers

    with pytest.MonkeyPatch.context() as patch, forked_deliveries(lambda: deliveries):
        request_workers(folder, patch)
        from tuneexp.sweep.cluster import ray_session

        patch.setattr(ray_session, "worker_origin", lambda *_: nullcontext())  # it would import the libraries again
        from tuneexp.cli import main

        main()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), _MODULES, _run)
