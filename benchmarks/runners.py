"""Gain and cost of env runner processes, and APPO compared with RLlib's, with two runners each."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.running import Kept, ours, peer
from benchmarks.work import APPO_ENV_STEPS

REPEATS = 3


def measure(peers_python: str, repeats: int = REPEATS, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure and return everything. An interrupted measurement continues."""
    kept = Kept("runners", {"env_steps": APPO_ENV_STEPS, "repeats": repeats})
    pieces = [kept.take(f"pieces {repeat}", lambda: ours("benchmarks.ours_runners")) for repeat in range(repeats)]
    for one in pieces:
        say(f"runners: slow environments {_speedup(one):.2f}x, weights {one['sync']['sync_ms']:.1f} ms, a call "
            f"{one['call']['cost_ms']:.1f} ms")  # fmt: skip
    steps = str(APPO_ENV_STEPS)
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        "ours_1": lambda: ours("benchmarks.ours_appo", steps, "1"),
        "rllib": lambda: peer(peers_python, "rllib_appo.py", steps, "0"),
        "ours_5": lambda: ours("benchmarks.ours_appo", steps, "5"),
    }
    for seeds in ("1", "5"):
        ours("benchmarks.ours_appo", str(APPO_ENV_STEPS // 10), seeds)  # the compiler's cache is warm
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for repeat in range(repeats):
        for side, run in sides.items():
            runs[side].append(kept.take(f"appo {side} {repeat}", run))
            rate, score = runs[side][-1]["env_steps_per_s"], runs[side][-1]["return_mean"]
            say(f"appo {side} run {repeat + 1}: {rate:,.0f} env steps/s, return {score:.0f}")
    kept.finished()
    return {"repeats": repeats, "env_steps": APPO_ENV_STEPS, "pieces": _middle(pieces), "appo": runs}


def _speedup(piece: dict[str, Any]) -> float:
    return float(piece["slow_rates"]["4"] / piece["slow_rates"]["1"])


def _middle(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians of the runs, and the object store of the last run."""
    return {
        "speedup": median(_speedup(one) for one in pieces),
        "slow_rates": {n: median(one["slow_rates"][n] for one in pieces) for n in ("1", "4")},
        "sync_ms": median(one["sync"]["sync_ms"] for one in pieces),
        "call_cost_ms": median(one["call"]["cost_ms"] for one in pieces),
        "parameters": pieces[-1]["sync"]["parameters"],
        "object_store": pieces[-1]["object_store"],
    }
