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
# Not one that people use. A stack is written on demand only: reading it while the code runs on may end the process.
_ASK = signal.SIGRTMIN + 7 if sys.platform == "linux" else signal.SIGUSR2
_MOST_BYTES = 2**20
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in ', re.M)


def in_worker() -> bool:
    """Whether this is a process that Ray started for an actor or a task."""
    return bool(ray.is_initialized()) and ray._private.worker.global_worker.mode == ray.WORKER_MODE


def register_stack_dump() -> None:
    """From now on this worker writes its stack to its log when it is asked by `_ASK`, also where it hangs in C."""
    if in_worker():
        faulthandler.register(_ASK, file=sys.__stderr__ or 2, all_threads=False)


def quiet_tune() -> None:
    """Leave out Tune's remarks on every trainable, such as how long its setup took; a level that is set stays."""
    logger = logging.getLogger("ray.tune.trainable.trainable")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def frames_in(stack: str) -> list[Frame]:
    """Of the first thread in what faulthandler writes, innermost first."""
    first = stack.partition("(most recent call first):\n")[2].partition("\n\n")[0]
    return [Frame(found["file"], int(found["line"])) for found in _FRAME.finditer(first)]


def current_line(pid: int, ip: str | None) -> Frame | None:
    """The line that the main thread of a worker executes now; None where it doesn't answer."""
    frames = frames_in(_on_its_node(stack_of, pid, ip))
    return of_user(frames) if frames else None


def stack_of(pid: int) -> str:
    """The stack of a worker of this node, which is only asked where it listens: others the signal would end."""
    file = _log_file(pid)
    if file is None or not _listens(pid):
        return ""
    before, deadline_s = file.stat().st_size, time.monotonic() + STACK_LIMIT_S
    os.kill(pid, _ASK)
    while not frames_in(stack := _read(file, before)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return stack


def _listens(pid: int) -> bool:
    try:
        caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return False
    return caught is not None and bool(int(caught[1], 16) >> (_ASK - 1) & 1)


def worker_log(pid: int, ip: str | None) -> str:
    """The end of the log of a worker, dead or alive; empty where its node doesn't answer."""
    return _on_its_node(log_of, pid, ip)


def log_of(pid: int) -> str:
    """The end of what a worker of this node has written to standard error."""
    file = _log_file(pid)
    return "" if file is None else _read(file, max(0, file.stat().st_size - _MOST_BYTES))


def _on_its_node(ask: Callable[[int], str], pid: int, ip: str | None) -> str:
    if ip is None or ip == ray.util.get_node_ip_address():
        return ask(pid)
    there = ray.remote(num_cpus=0, max_retries=0)(ask).options(resources={f"node:{ip}": 0.001})
    answer = there.remote(pid)
    try:
        said: str = ray.get(answer, timeout=ANSWER_LIMIT_S)
        return said
    except GetTimeoutError:
        ray.cancel(answer, force=True)
    except RayError:
        pass  # the node is gone, and the log with it
    return ""


def _log_file(pid: int) -> Path | None:
    node = ray._private.worker._global_node
    files = Path(node.get_logs_dir_path()).glob(f"worker-*-{pid}.err") if node is not None else iter(())
    return next(files, None)


def _read(file: Path, start: int) -> str:
    with file.open("rb") as log:
        log.seek(start)
        return log.read().decode(errors="replace")
