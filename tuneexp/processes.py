"""Python processes that import nothing from the working folder, where a `random.py` would shadow Python's own."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import tuneexp

# Inherited by the processes that such a process starts, unlike the option -P.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}


def python_command(code: str) -> list[str]:
    """Return a command that runs `code` in a Python that imports this package, but nothing from the working folder."""
    here = str(Path(tuneexp.__file__).resolve().parent.parent)
    return [sys.executable, "-P", "-c", f"import sys; sys.path.append({here!r}); {code}"]


def without_proxy_on_loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with NO_PROXY for this machine, so that HTTP clients connect to its servers directly."""
    named = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    direct = ",".join([*filter(None, [named]), "localhost", "127.0.0.1", "::1"])
    return {**environment, "no_proxy": direct, "NO_PROXY": direct}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """Import libraries without garbage collection, and leave their objects out of later collections.

    Collections are 15 % of the time of importing torch, Ray or MLflow."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
