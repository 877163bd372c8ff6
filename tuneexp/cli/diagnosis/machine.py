"""Checks of the machine: cores, memory, limits."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import tempfile
from pathlib import Path

import tuneexp
from tuneexp.cli.diagnosis.finding import GIB, OK, WARN, Finding
from tuneexp.report.formatting import size

LOAD_PER_CORE = 1.5
LEAST_MEMORY, LEAST_SHARED, LEAST_TEMPORARY = 2 * GIB, GIB // 4, 1 * GIB
LEAST_FILES = 4096
SHARED_MEMORY = Path("/dev/shm")


def python() -> Finding:
    """Python, tuneexp and the system."""
    return Finding(
        "python", OK, f"Python {platform.python_version()}, tuneexp {tuneexp.__version__}, {platform.platform()}"
    )


def cores() -> Finding:
    """Cores that this process may use, and what other programs take."""
    from tuneexp.processes import cores as usable

    here, load = usable(), os.getloadavg()[0]
    found = f"{here} cores, load {load:.1f}"
    if load > LOAD_PER_CORE * here:
        return Finding("cores", WARN, found, "other programs use them; sweeps are slower than their plan")
    return Finding("cores", OK, found)


def memory() -> Finding:
    """Memory that is free now."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free, total = (int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    found = f"{size(free)} of {size(total)} are free"
    if free < LEAST_MEMORY:
        return Finding("memory", WARN, found, "end other programs, or run fewer trials at once: --concurrency 1")
    return Finding("memory", OK, found)


def shared_memory() -> Finding:
    """Ray's object store is in /dev/shm. With little of it, Ray uses the disk."""
    free = shutil.disk_usage(SHARED_MEMORY).free
    found = f"{size(free)} free in {SHARED_MEMORY}"
    if free < LEAST_SHARED:
        return Finding("shared memory", WARN, found, "in a container: docker run --shm-size=1g")
    return Finding("shared memory", OK, found)


def open_files() -> Finding:
    """Limit of open files. Ray needs some hundreds for each worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_FILES:
        more = "no limit" if hard == resource.RLIM_INFINITY else f"{hard}"
        return Finding("open files", WARN, f"limit {soft}", f"ulimit -n {LEAST_FILES} (at most {more})")
    return Finding("open files", OK, "no limit" if soft == resource.RLIM_INFINITY else f"limit {soft}")


def temporary() -> Finding:
    """Folder for temporary files, where Ray and the compiler write."""
    folder = tempfile.gettempdir()
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"x")
    free = shutil.disk_usage(folder).free
    if free < LEAST_TEMPORARY:
        return Finding("temporary files", WARN, f"{size(free)} free in {folder}", "set TMPDIR to a folder with room")
    return Finding("temporary files", OK, f"{size(free)} free in {folder}")
