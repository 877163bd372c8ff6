"""Memory and CPU time of all processes of a command, read from /proc while it runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Processes(threading.Thread):
    """Thread that follows the processes of a command, which have `marker` in their environment.

    Ray names the process of a trial after its class; a compiler that it starts has another name. CPU times are those of
    the last look, so up to `every_s` of each process is missing."""

    def __init__(self, marker: str, worker_name: str, every_s: float = 0.2) -> None:
        super().__init__(daemon=True)
        self._marker, self._worker_name, self._every_s = marker.encode(), worker_name, every_s
        self._cpu_s: dict[str, float] = {}
        self._strange: set[str] = set()
        self._stop_asked = threading.Event()
        self._peak_mb = 0.0

    def run(self) -> None:
        while not self._stop_asked.wait(self._every_s):
            for process in Path("/proc").glob("[0-9]*"):
                if process.name not in self._strange:
                    self._look_at(process)

    def stop(self) -> dict[str, float]:
        """Return the CPU seconds of all processes and the peak memory of a worker."""
        self._stop_asked.set()
        self.join()
        return {"cpu_s": sum(self._cpu_s.values()), "worker_peak_mb": self._peak_mb}

    def _look_at(self, process: Path) -> None:
        try:
            if process.name not in self._cpu_s and self._marker not in (process / "environ").read_bytes():
                self._strange.add(process.name)
                return
            times = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
            self._cpu_s[process.name] = sum(map(int, times)) / TICKS_PER_S
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            if command.startswith("ray::") and self._worker_name in command:
                self._peak_mb = max(self._peak_mb, _peak_mb(process))
        except OSError:  # it has ended, or belongs to another user
            return


def _peak_mb(process: Path) -> float:
    lines = (process / "status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
