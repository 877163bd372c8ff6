"""Kill a process with all its descendants, without any cleanup."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """All descendants of `pid`, read from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The name in parentheses may hold spaces; the parent's id is the second field after it.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        queue += children.get(queue.pop(), [])
        found += [child for child in queue if child not in found]
    return found


def kill_tree(pid: int) -> int:
    """SIGKILL `pid` and all descendants. Each is stopped first, so that none can start or reap another.

    Returns the number of killed processes."""
    stopped: set[int] = set()
    while True:
        family = {pid, *descendants(pid)} - stopped - {os.getpid()}
        if not family:
            break
        for member in family:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGSTOP)
        stopped |= family
    for member in stopped:
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    return len(stopped)


def command_line(pid: int) -> str:
    """Arguments with which `pid` was started, each followed by a null character.

    Empty while its program is loaded, milliseconds after `subprocess.Popen` has returned on a busy machine."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def is_alive(pid: int) -> bool:
    """True if `pid` runs. A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
