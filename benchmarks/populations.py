"""Wall-clock and CPU time of a population as one stack and with a worker for each member.

Run: `python -m benchmarks.populations [--members 8] [--env-steps 50000] [--rounds 3]`. Both take turns."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

SPACE = "learning_rate: {loguniform: [1.0e-4, 3.0e-3]}\nent_coef: {uniform: [0.0, 0.02]}\n"
SPACE += "clip_range: {uniform: [0.1, 0.3]}\ngae_lambda: {uniform: [0.9, 0.99]}\n"
PR_SET_CHILD_SUBREAPER = 36  # processes that outlive their parent stay below this one
PERIOD_S = 0.1
KINDS = ("workers", "stacked")


def command(kind: str, folder: str, members: int, env_steps: int, algorithm: str, env: str) -> list[str]:
    """Return the command of a sweep. kind: value of the option `population`."""
    space = os.path.join(folder, "space.yaml")
    with open(space, "w") as file:
        file.write(SPACE)
    return [
        sys.executable, "-m", "tuneexp", "sweep", "--algorithm", algorithm, "--env", env, "--space", space,
        "--trials", str(members), "--seeds", "1", "--env-steps", str(env_steps), "--scheduler", "pbt",
        "--scheduler-option", f"population={kind}", "--name", "p", "--storage", os.path.join(folder, "runs"),
        "--json",
    ]  # fmt: skip


def measured(asked: list[str]) -> tuple[float, float]:
    """Run a command. Returns the wall-clock seconds, and the CPU seconds of all processes that it starts."""
    started_s = time.perf_counter()
    process = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    used: dict[tuple[int, int], float] = {}
    while process.poll() is None:
        used |= _cpu_s_below(os.getpid())
        time.sleep(PERIOD_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(asked)} failed")
    return time.perf_counter() - started_s, sum(used.values())


def _cpu_s_below(root: int) -> dict[tuple[int, int], float]:
    """Return the CPU seconds of each process below `root`, by its id and its start."""
    parents, found = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            parents[int(name)] = int(fields[1])
            found[int(name)] = (int(fields[19]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    below = {root}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return {(child, found[child][0]): found[child][1] for child in below - {root}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--env-steps", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--algorithm", default="ppo")
    parser.add_argument("--env", default="CartPole-v1")
    asked = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for turn in range(asked.rounds + 1):  # the first turn fills the cache of programs
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                sweep = command(kind, folder, asked.members, asked.env_steps, asked.algorithm, asked.env)
                seconds = measured(sweep)
            print(turn, kind, *(round(one, 1) for one in seconds), file=sys.stderr)
            found[kind] += [seconds] if turn else []
    middle = {
        kind: [round(statistics.median(one), 1) for one in zip(*runs, strict=True)] for kind, runs in found.items()
    }
    print(json.dumps({"wall_s, cpu_s": middle, **vars(asked)}))


if __name__ == "__main__":
    main()
