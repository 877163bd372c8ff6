"""What workers of Ray's write to standard error, read from any node."""

from __future__ import annotations

import faulthandler
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.exceptions import GetTimeoutError, RayError

from tuneexp.faults import Frame, of_user

ANSWER_LIMIT_S = 5.0
STACK_S = 60.0  # a worker's call that takes longer writes where it stands, again and again
_MOST_BYTES = 2**20
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in ', re.M)


def in_worker() -> bool:
    """Whether this is a process that Ray started for an actor or a task."""
    return bool(ray.is_initialized()) and ray._private.worker.global_worker.mode == ray.WORKER_MODE


@contextmanager
def stacks_written() -> Iterator[None]:
    """While a call lasts long, its stack goes to the worker's log every now and then, also where it hangs in C."""
    if not in_worker():
        yield
        return
    faulthandler.dump_traceback_later(STACK_S, repeat=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def frames_in(stack: str) -> list[Frame]:
    """Of the first thread in what faulthandler writes, innermost first."""
    first = stack.partition("(most recent call first):\n")[2].partition("\n\n")[0]
    return [Frame(found["file"], int(found["line"])) for found in _FRAME.finditer(first)]


def stands_at(log: str) -> Frame | None:
    """Where the worker stood when it last wrote its stacks: the main thread comes last."""
    threads = log.rpartition("\nTimeout (")[2].split("\nThread ")
    frames = frames_in(threads[-1]) if len(threads) > 1 else []
    return of_user(frames) if frames else None


def worker_log(pid: int, ip: str | None) -> str:
    """The end of the log of a worker, dead or alive; empty where its node doesn't answer."""
    if ip is None or ip == ray.util.get_node_ip_address():
        return log_of(pid)
    there = ray.remote(num_cpus=0, max_retries=0)(log_of).options(resources={f"node:{ip}": 0.001})
    answer = there.remote(pid)
    try:
        said: str = ray.get(answer, timeout=ANSWER_LIMIT_S)
        return said
    except GetTimeoutError:
        ray.cancel(answer, force=True)
    except RayError:
        pass  # the node is gone, and the log with it
    return ""


def log_of(pid: int) -> str:
    """What a worker of this node has written to standard error."""
    node = ray._private.worker._global_node
    for file in Path(node.get_logs_dir_path()).glob(f"worker-*-{pid}.err") if node is not None else ():
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - _MOST_BYTES))
            return log.read().decode(errors="replace")
    return ""
