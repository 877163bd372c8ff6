"""Time until a first script or a command shows something, with cold and warm caches."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.running import ROOT, Kept, ours
from benchmarks.sweep import caches_in

REPEATS = 3
COMMANDS = {"describe": ("describe", "ppo"), "mistake": ("train", "pppo", "CartPole-v1")}


def measure(repeats: int = REPEATS, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Return row -> its runs. An interrupted measurement continues."""
    kept = Kept("starts", {"repeats": repeats})
    rows: dict[str, list[dict[str, Any]]] = {}
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            taken = {
                "script_cold": lambda f=folder: _script(Path(f)),
                "script_warm": lambda f=folder: _warm_script(Path(f)),
                **{name: lambda a=arguments: _command(*a) for name, arguments in COMMANDS.items()},
            }
            for name, run in taken.items():
                rows.setdefault(name, []).append(kept.take(f"{name} {repeat}", run))
                say(f"{name} run {repeat + 1}: {rows[name][-1]['shown_s']:.1f} s")
    kept.finished()
    return {"repeats": repeats, "rows": rows}


def _script(caches: Path) -> dict[str, Any]:
    return ours("benchmarks.first_script", settings=caches_in(caches), worker_name="no worker")


def _warm_script(caches: Path) -> dict[str, Any]:
    if not any(caches.iterdir()):  # an interrupted measurement, which has lost the caches
        _script(caches)
    return _script(caches)


def _command(*arguments: str) -> dict[str, Any]:
    """Run a command of tuneexp, which answers when it ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tuneexp", *arguments], cwd=ROOT, capture_output=True)
    took_s = time.perf_counter() - started_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"shown_s": took_s, "command_s": took_s, "cpu_s": cpu_s}
