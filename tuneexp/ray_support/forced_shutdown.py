"""Kill a local Ray if its driver exits without `ray.shutdown`.

Imports no Ray, since the exit may interrupt its import. Linux kills only the direct children of the driver; the agents
that the raylet started would run for another half minute."""

from __future__ import annotations

import os
import shutil
import signal
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

_SERVICES = ("gcs_server", "raylet")  # names of processes
_ORIGIN = "from tuneexp.ray_support.worker_origin import"  # in the command of the process that workers are forked from


def kill_ray(temporary: Path) -> None:
    """Kill the Ray that this process started, with its workers, and remove its folder.

    Args:
        temporary: folder from `private_surroundings`.
    """
    children = _children()
    for process in children[os.getpid()]:
        if _is_of_ray(process):
            _kill_tree(process, children)
    shutil.rmtree(temporary.parent, ignore_errors=True)


def _kill_tree(process: int, children: dict[int, list[int]]) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)  # before its children, which it would restart
    for child in children[process]:
        _kill_tree(child, children)


def _children() -> dict[int, list[int]]:
    """Return process ids by the id of their parent, from /proc; empty without /proc."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            children[int(stat.read_text().rpartition(")")[2].split()[1])].append(int(stat.parent.name))
    return children


def _is_of_ray(process: int) -> bool:
    folder = Path(f"/proc/{process}")
    with suppress(OSError):
        name, command = (folder / "comm").read_text().strip(), (folder / "cmdline").read_text(errors="replace")
        return name in _SERVICES or _ORIGIN in command
    return False
