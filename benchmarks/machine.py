"""Machine of a measurement: versions, cores and CPU model, without names."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.training import Pythons

OURS = ("tuneexp", "torch", "ray", "optuna", "mlflow", "gymnasium")
PEERS = ("stable-baselines3", "ray", "torch", "optuna", "gymnasium")
JAX_PEERS = ("sbx-rl", "jax", "flax", "optax")


def describe(pythons: Pythons) -> dict[str, Any]:
    versions = {**_versions_in(pythons.peers, PEERS), **_versions_in(pythons.jax, JAX_PEERS)}
    return {**describe_here(), "peer_versions": versions}


def describe_here() -> dict[str, Any]:
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in OURS},
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    mhz = [line.split(":", 1)[1].strip() for line in lines if line.startswith("cpu MHz")]
    return f"{names[0]} at {float(mhz[0]) / 1000:.1f} GHz" if names and mhz else platform.machine()


def _versions_in(python: str, names: tuple[str, ...]) -> dict[str, str]:
    program = (
        f"import json; from importlib.metadata import version as v; print(json.dumps({{n: v(n) for n in {names}}}))"
    )
    found: dict[str, str] = json.loads(subprocess.check_output([python, "-c", program], text=True))
    return found
