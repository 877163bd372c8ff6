"""Start the measured programs, each in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.clock import STARTED
from benchmarks.processes import Processes

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
RESULTS = HERE / "results"
LIMIT_S = 3600.0


def last_json(
    command: Sequence[str], settings: Mapping[str, str] | None = None, cwd: Path = ROOT, limit_s: float = LIMIT_S,
    worker_name: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Run `command` and return the JSON object in the last line of its standard output.

    `command_s` is added, from start to exit, and with the name of its workers `cpu_s` of all processes and
    `worker_peak_mb`. Raises RuntimeError with the end of its standard error if it fails."""
    started = str(time.time())
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", STARTED: started, **(settings or {})}
    processes = Processes(f"{STARTED}={started}", worker_name) if worker_name else None
    if processes is not None:
        processes.start()
    with tempfile.TemporaryFile("w+") as errors:
        started_s = time.perf_counter()
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=limit_s
        )
        command_s = time.perf_counter() - started_s
        errors.seek(0)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{errors.read()[-3000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**measured, "command_s": command_s, **(processes.stop() if processes is not None else {})}


def ours(
    *args: str, settings: Mapping[str, str] | None = None, limit_s: float = LIMIT_S, worker_name: str = ""
) -> dict[str, Any]:
    return last_json([sys.executable, "-m", *args], settings, limit_s=limit_s, worker_name=worker_name)


def peer(python: str, script: str, *args: str, worker_name: str = "") -> dict[str, Any]:
    """Run a script of `peers/`, which imports clock.py and work.py of this folder."""
    command = [str(Path(python).absolute()), f"peers/{script}", *args]
    return last_json(command, {"PYTHONPATH": str(HERE)}, cwd=HERE, worker_name=worker_name)


class Kept:
    """Stored measurements of an unfinished part, with which an interrupted part continues.

    asked: the settings of the measurements; those of other settings are dropped."""

    def __init__(self, part: str, asked: Mapping[str, Any]) -> None:
        self._path = RESULTS / f"{part}.unfinished.json"
        found = json.loads(self._path.read_text()) if self._path.exists() else {}
        same = found.get("asked") == json.loads(json.dumps(asked))
        self._state: dict[str, Any] = found if same else {"asked": dict(asked), "measured": {}}

    def take(self, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the stored value of `key`, or else that of `measure`, which is then stored."""
        measured: dict[str, dict[str, Any]] = self._state["measured"]
        if key not in measured:
            measured[key] = measure()
            RESULTS.mkdir(exist_ok=True)
            self._path.write_text(json.dumps(self._state))
        return measured[key]

    def finished(self) -> None:
        self._path.unlink(missing_ok=True)
