"""Cause of the exit of a Ray process, for error messages."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

from ray.exceptions import OutOfMemoryError, RayActorError

from tuneexp.ray_support.worker_logs import frames_in, in_worker, worker_log
from tuneexp.tracebacks import Frame, of_user, plain

_SIGNALS = {
    "Segmentation fault": "signal 11 (segmentation fault)",
    "Aborted": "signal 6 (abort)",
    "Bus error": "signal 7 (bus error)",
    "Illegal instruction": "signal 4 (illegal instruction)",
    "Floating": "signal 8 (floating-point exception)",
}
_EXIT = "tuneexp: exit code"


def log_exit_codes() -> None:
    """In a worker: make `os._exit` write its exit code into the log. Ray only notices that the process has ended."""
    if not in_worker() or getattr(os._exit, "logs", False):
        return
    own, leave = os.getpid(), os._exit

    def logging_exit(status: int) -> None:
        if os.getpid() == own:  # not in a forked process
            frames = [Frame(frame.filename, frame.lineno or 0) for frame in traceback.extract_stack()[-2::-1]]
            os.write(2, f"\n{_EXIT} {status} (os._exit at {of_user(frames)})\n".encode())
        leave(status)

    logging_exit.logs = True  # type: ignore[attr-defined]
    os._exit = logging_exit  # type: ignore[assignment]


def death_of(error: RayActorError | OutOfMemoryError) -> str:
    """Return the cause, such as "signal 11 (segmentation fault) at my_env.py line 12" or "out of memory: ..."."""
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "running low on memory" in text:
        used = re.search(r"was ([\d.]+ ?\w?B)(?: used)? / ([\d.]+ ?\w?B)", text)
        return f"out of memory: {' of '.join(used.groups()) if used else 'nearly all'} of its node was in use"
    if "node has died" in text:
        return "its node died or left the cluster"
    return _ended(_log_end(text)) or _exit_code(text) or _without_trace()


def _ended(log: str) -> str | None:
    """Return the cause from the log of the worker, or None."""
    if _EXIT in log:
        return plain(log[log.rindex(_EXIT) + len("tuneexp: ") :].splitlines()[0])
    _, fatal, after = log.rpartition("Fatal Python error: ")
    if not fatal:
        return None
    reason = after.splitlines()[0]
    name = next((text for known, text in _SIGNALS.items() if reason.startswith(known)), plain(reason))
    # The thread of the error comes first.
    frames = frames_in(after)
    return f"{name} at {of_user(frames)}" if frames else name


def _exit_code(text: str) -> str | None:
    """Return the cause that Ray reports for an orderly exit of the interpreter, or None."""
    if "SIGTERM" in text:
        return "signal 15 (SIGTERM)"
    code = re.search(r"Worker exits with an exit code (.+?)\.?\s*$", text, re.M)
    return f"exit code {plain(code[1])}" if code else None


class _Kills:
    """Count of out-of-memory kills by the kernel of this machine."""

    @staticmethod
    def now() -> int:
        for file in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
            try:
                counted = re.search(r"^oom_kill (\d+)$", Path(file).read_text(), re.M)
            except OSError:
                continue
            if counted:
                return int(counted[1])
        return 0

    known = now()


def _without_trace() -> str:
    if (kills := _Kills.now()) > _Kills.known:
        _Kills.known = kills
        return "out of memory: the kernel killed it (signal 9)"
    return "it was killed without a trace: by SIGTERM, or by signal 9, which the kernel sends if memory is short"


def _log_end(text: str) -> str:
    """Return the end of the log of a worker that has ended, on any node."""
    pid, ip = re.search(r"^\s*pid: (\d+)$", text, re.M), re.search(r"^\s*ip: (\S+)$", text, re.M)
    return worker_log(int(pid[1]), ip[1] if ip else None) if pid else ""
