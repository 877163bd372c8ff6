"""Start the measured programs, each in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
RESULTS = HERE / "results"
LIMIT_S = 1200.0


def last_json(
    command: Sequence[str], settings: Mapping[str, str] | None = None, cwd: Path = ROOT, limit_s: float = LIMIT_S
) -> dict[str, Any]:
    """Run `command`; its last line of standard output is a JSON object, returned with `command_s`: start to exit.

    Raises RuntimeError with the end of its standard error if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **(settings or {})}
    with tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=limit_s
        )
        command_s = time.perf_counter() - started
        errors.seek(0)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{errors.read()[-3000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**measured, "command_s": command_s}


def ours(*args: str, settings: Mapping[str, str] | None = None, limit_s: float = LIMIT_S) -> dict[str, Any]:
    return last_json([sys.executable, "-m", *args], settings, limit_s=limit_s)


def peer(python: str, script: str, *args: str) -> dict[str, Any]:
    return last_json([str(Path(python).absolute()), script, *args], cwd=HERE)


class WorkerMemory(threading.Thread):
    """Peak memory of the trial workers of a sweep, read from /proc while the sweep runs.

    Ray names the process of a trial after its class; a compiler that it starts has another name."""

    def __init__(self, worker_name: str, every_s: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.worker_name, self.every_s = worker_name, every_s
        self.peak_mb, self._stop_asked = 0.0, threading.Event()

    def run(self) -> None:
        while not self._stop_asked.wait(self.every_s):
            self.peak_mb = max([self.peak_mb, *(_peak_mb(pid) for pid in self._workers())])

    def stop(self) -> float:
        self._stop_asked.set()
        self.join()
        return self.peak_mb

    def _workers(self) -> list[Path]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if command.startswith("ray::") and self.worker_name in command:
                found.append(process)
        return found


def _peak_mb(process: Path) -> float:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


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
