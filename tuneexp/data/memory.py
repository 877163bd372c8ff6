"""Available memory of the machine or container, and a check before large allocations."""

from __future__ import annotations

import logging
from pathlib import Path

from tuneexp.errors import UserError

_log = logging.getLogger(__name__)

GB = 10**9
_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
# Where the limit and the use are written: the unified hierarchy, and the memory controller of the old one.
_CGROUP_FILES = (("", "memory.max", "memory.current"), ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"))


def available_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int | None:
    """Bytes available to this process: the minimum over machine and control group. None if unknown (not Linux)."""
    known = [amount for amount in (_of_machine(proc), _of_cgroup(proc, cgroup)) if amount is not None]
    return min(known) if known else None


def require(what: str, needed: int, per_row: int) -> None:
    """Log a coming allocation, or raise `UserError` if it does not fit. per_row: bytes per row of capacity."""
    available = available_bytes()
    if available is not None and needed > available:
        raise UserError(
            f"{what} needs {needed / GB:.2f} GB of memory and {available / GB:.2f} GB are available; "
            f"a capacity of {max(available, 0) // per_row} rows per seed would fit"
        )
    left = "" if available is None else f" of {available / GB:.2f} GB available"
    _log.info("%s: up to %.2f GB%s", what, needed / GB, left)


def _of_machine(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kilobytes is None else int(kilobytes) * 1024


def _of_cgroup(proc: Path, root: Path) -> int | None:
    """Minimum available in any control group from that of this process up to the root."""
    try:
        own = [line.split(":", 2) for line in (proc / "self" / "cgroup").read_text().splitlines()]
    except OSError:
        own = []
    left = []
    for controller, limit_name, used_name in _CGROUP_FILES:
        path = next((path for _, names, path in own if controller in names.split(",")), "/")
        top = root / controller
        group = top / path.strip("/")
        # In a container the group's path may be one of the host, which isn't there: the top is then the own group.
        for folder in (group, *group.parents):
            left.append(_left_in(folder / limit_name, folder / used_name))
            if folder == top:
                break
    known = [amount for amount in left if amount is not None]
    return min(known) if known else None


def _left_in(limit: Path, used: Path) -> int | None:
    try:
        most, now = limit.read_text().strip(), int(used.read_text())
    except (OSError, ValueError):
        return None
    if not most.isdigit():
        return None  # "max": no limit
    return max(0, int(most) - now + _reclaimable(limit.parent / "memory.stat"))


def _reclaimable(stat: Path) -> int:
    """File cache that the kernel gives back before it refuses memory; it counts as used."""
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == ["inactive_file"]), 0)
