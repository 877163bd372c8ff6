"""Standard error of Ray workers, read from any node."""

from __future__ import annotations

import faulthandler
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ray
from ray.exceptions import GetTimeoutError, RayError

from tuneexp.tracebacks import Frame, of_user

ANSWER_LIMIT_S = 5.0
STACK_LIMIT_S = 2.0
# A signal that is hardly used. A stack is written by a signal handler: reading it from outside may crash the process.
_STACK_SIGNAL = signal.SIGRTMIN + 7 if sys.platform == "linux" else signal.SIGUSR2
_MOST_BYTES = 2**20
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in ', re.M)


def in_worker() -> bool:
    """Return True in a process that Ray started for an actor or a task."""
    return bool(ray.is_initialized()) and ray._private.worker.global_worker.mode == ray.WORKER_MODE


def register_stack_dump() -> None:
    """In a worker: write the stack to the log on a signal, even if the worker hangs in C code."""
    if in_worker():
        faulthandler.register(_STACK_SIGNAL, file=sys.__stderr__ or 2, all_threads=False)


def quiet_tune() -> None:
    """Hide Tune's notes on every trainable, such as the time of its setup, unless a log level is set."""
    logger = logging.getLogger("ray.tune.trainable.trainable")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def frames_in(stack: str) -> list[Frame]:
    """Return the frames of the first thread in the output of faulthandler, innermost first."""
    first = stack.partition("(most recent call first):\n")[2].partition("\n\n")[0]
    return [Frame(found["file"], int(found["line"])) for found in _FRAME.finditer(first)]


def current_line(pid: int, ip: str | None) -> Frame | None:
    """Return the line that the main thread of a worker executes; None if it does not respond."""
    frames = frames_in(_on_its_node(stack_of, pid, ip))
    return of_user(frames) if frames else None


def stack_of(pid: int) -> str:
    """Return the stack of a worker of this node. Workers without the handler get no signal, which would kill them."""
    file = _log_file(pid)
    if file is None or not _listens(pid):
        return ""
    before, deadline_s = file.stat().st_size, time.monotonic() + STACK_LIMIT_S
    os.kill(pid, _STACK_SIGNAL)
    while not frames_in(stack := _read(file, before)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return stack


def _listens(pid: int) -> bool:
    try:
        caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return False
    return caught is not None and bool(int(caught[1], 16) >> (_STACK_SIGNAL - 1) & 1)


def worker_log(pid: int, ip: str | None) -> str:
    """Return the end of the log of a worker, running or not; empty if its node does not respond."""
    return _on_its_node(log_of, pid, ip)


def log_of(pid: int) -> str:
    """Return the end of the standard error of a worker of this node."""
    file = _log_file(pid)
    return "" if file is None else _read(file, max(0, file.stat().st_size - _MOST_BYTES))


def _on_its_node(ask: Callable[[int], str], pid: int, ip: str | None) -> str:
    if ip is None or ip == ray.util.get_node_ip_address():
        return ask(pid)
    there = ray.remote(num_cpus=0, max_retries=0)(ask).options(resources={f"node:{ip}": 0.001})
    answer = there.remote(pid)
    try:
        text: str = ray.get(answer, timeout=ANSWER_LIMIT_S)
        return text
    except GetTimeoutError:
        ray.cancel(answer, force=True)
    except RayError:
        pass  # the node has left the cluster, with its logs
    return ""


def _log_file(pid: int) -> Path | None:
    node = ray._private.worker._global_node
    files = Path(node.get_logs_dir_path()).glob(f"worker-*-{pid}.err") if node is not None else iter(())
    return next(files, None)


def _read(file: Path, start: int) -> str:
    with file.open("rb") as log:
        log.seek(start)
        return log.read().decode(errors="replace")
