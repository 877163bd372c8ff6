"""Process that Ray starts for a worker of a sweep: requests a fork of the worker origin, and ends.

If the origin can't fork this worker, the process becomes the worker itself. Run as a script, with -I and -S."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

FORKED = b"1"  # the answer of the origin
JOB = "RAY_JOB_ID"
FIRST_JOB = "01000000"  # Ray reads the job when it is imported, and a sweep is the first job of its Ray
_CONTEXT = "--serialized-runtime-env-context="
_OF_SETUP = ("--language=", _CONTEXT)  # arguments of Ray's `setup_worker.py` only


def _is_plain(arguments: Sequence[str]) -> bool:
    """Return True for a worker of the first job without a runtime environment."""
    contexts = [one.removeprefix(_CONTEXT) for one in arguments if one.startswith(_CONTEXT)]
    return os.environ.get(JOB) == FIRST_JOB and all(context == "{}" for context in contexts)


def _is_forked(origin: str, arguments: Sequence[str]) -> bool:
    """Send the arguments of a worker and what it inherits from this process. Returns True once it exists."""
    own = [one for one in arguments if not one.startswith(_OF_SETUP)]
    with suppress(OSError), socket.socket(socket.AF_UNIX) as end:
        end.connect(origin)
        socket.send_fds(end, [b"."], [0, 1, 2])
        end.sendall(json.dumps([own, os.getcwd(), dict(os.environ)]).encode())
        end.shutdown(socket.SHUT_WR)
        return end.recv(1) == FORKED  # waits for the imports of the origin
    return False


if __name__ == "__main__":
    _, _origin, _setup, *_arguments = sys.argv
    if not (_is_plain(_arguments) and _is_forked(_origin, _arguments)):
        os.execv(sys.executable, [sys.executable, _setup, *_arguments])
