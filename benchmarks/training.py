"""Benchmark of training in one process: tuneexp with one and eight seeds, and the same work in the peers."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.running import Kept, ours, peer
from benchmarks.work import ALL_SETUPS, PARTS

REPEATS = 3
Side = Callable[[str, int], dict[str, Any]]


def sides(part: str, peers_python: str) -> dict[str, Side]:
    """Return the sides in the order of measurement. Compared sides are neighbours, so that drift affects both."""
    found: dict[str, Side] = {
        "sb3": lambda setup, steps: peer(peers_python, "peer_sb3.py", setup, str(steps), "0"),
        "ours_1": lambda setup, steps: ours("benchmarks.ours_training", setup, str(steps), "1", "on"),
        "rllib": lambda setup, steps: peer(peers_python, "peer_rllib.py", setup, str(steps), "0"),
        "ours_8": lambda setup, steps: ours("benchmarks.ours_training", setup, str(steps), "8", "on"),
    }
    return found if part == "ppo" else {name: side for name, side in found.items() if name != "rllib"}


def measure(
    part: str, peers_python: str, repeats: int = REPEATS, say: Callable[[str], None] = print,
    env_steps: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return setup -> side -> the runs and their medians. The compiler cache is warm; the sweep measures cold starts.

    An interrupted measurement continues. env_steps: another budget than that of the setups, for a test."""
    setups = {name: env_steps or ALL_SETUPS[name].env_steps for name in PARTS[part]}
    kept = Kept(part, {"setups": setups, "repeats": repeats})
    _warm_the_cache(part)
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {setup: {} for setup in setups}
    for repeat in range(repeats):
        for setup, steps in setups.items():
            for name, run in sides(part, peers_python).items():
                measured = kept.take(f"{setup} {name} {repeat}", lambda run=run, s=setup, n=steps: run(s, n))
                runs[setup].setdefault(name, []).append(measured)
                rate = measured["env_steps_per_s"]
                say(f"{setup} {name} run {repeat + 1}: {rate:,.0f} env steps/s, return {measured['return_mean']:.0f}")
    kept.finished()
    return {
        "env_steps_per_seed": next(iter(setups.values())),
        "repeats": repeats,
        "setups": {setup: {side: summary(taken) for side, taken in by.items()} for setup, by in runs.items()},
    }


def _warm_the_cache(part: str) -> None:
    for setup in PARTS[part]:
        for seeds in ("1", "8"):
            ours("benchmarks.ours_training", setup, str(ALL_SETUPS[setup].env_steps // 10), seeds, "on")


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("env_steps_per_s", "training_env_steps_per_s", "first_tenth_s", "peak_rss_mb", "return_mean", "command_s")
    compiled = {"compiled": all(run["compiled"] for run in runs)} if "compiled" in runs[0] else {}
    return {**{name: median(run[name] for run in runs) for name in names}, **compiled, "runs": runs}
