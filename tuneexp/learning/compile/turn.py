"""Program that compiles what the cache lacks when it is its turn (`compilation.compiler_command`).

torch is imported only if something is left to compile: processes that want the same programs wait for the first."""

from __future__ import annotations

import ctypes
import gc
import json
import signal
import sys
from pathlib import Path

from tuneexp.files.atomic import write_atomically
from tuneexp.files.locks import locked

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def main(lock: str, listed: str, *files: str) -> int:
    """Compile graphs in parallel.

    Args:
        lock: path of the lock that is held meanwhile.
        listed: JSON, content of files that are written when all packages are there.
        files: GRAPH PACKAGE [GRAPH PACKAGE ...].

    Returns:
        The exit code. The last line on standard output is the number of programs that were compiled, the last one on
        standard error the reason of a failure.
    """
    end_with_parent()
    with locked(Path(lock)):
        pairs = zip(files[::2], files[1::2], strict=True)
        missing = [pair for pair in pairs if not Path(pair[1]).exists()]
        if missing:
            gc.disable()  # a fifth of the imports' time, a tenth of Inductor's; the process ends with its programs
            from tuneexp.learning.compile.compiler import compile_all

            failed = compile_all(missing)
            if failed:
                return failed
        for path, content in json.loads(listed).items():
            write_atomically(Path(path), json.dumps(content).encode())
    print(len(missing))  # noqa: T201
    return 0


def end_with_parent() -> None:
    """Kill this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
