"""Training alone in one process: PPO here at one and at eight seeds, and the same work in the peers."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.running import ours, peer
from benchmarks.work import SETUPS

# A tenth is a whole number of rollouts in both setups, so that every library evaluates at the same steps.
ENV_STEPS = 40_960
REPEATS = 3
Side = Callable[[str], dict[str, Any]]


def sides(peers_python: str) -> dict[str, Side]:
    """Neighbours in this order are compared most: what drifts on the machine strikes both."""
    return {
        "sb3": lambda setup: peer(peers_python, "peer_sb3.py", setup, str(ENV_STEPS), "0"),
        "ours_1": lambda setup: ours("benchmarks.ours_ppo", setup, str(ENV_STEPS), "1", "on"),
        "rllib": lambda setup: peer(peers_python, "peer_rllib.py", setup, str(ENV_STEPS), "0"),
        "ours_8": lambda setup: ours("benchmarks.ours_ppo", setup, str(ENV_STEPS), "8", "on"),
    }


def measure(peers_python: str, repeats: int = REPEATS, say: Callable[[str], None] = print) -> dict[str, Any]:
    """setup -> side -> the runs and their medians. The compiler's cache is warm: cold starts are the sweep's rows."""
    _warm_the_cache()
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {setup: {} for setup in SETUPS}
    for repeat in range(repeats):
        for setup in SETUPS:
            for name, run in sides(peers_python).items():
                measured = run(setup)
                runs[setup].setdefault(name, []).append(measured)
                rate = measured["env_steps_per_s"]
                say(f"{setup} {name} run {repeat + 1}: {rate:,.0f} env steps/s, return {measured['return_mean']:.0f}")
    return {
        "env_steps_per_seed": ENV_STEPS,
        "repeats": repeats,
        "setups": {setup: {side: _summary(taken) for side, taken in by.items()} for setup, by in runs.items()},
    }


def _warm_the_cache() -> None:
    for setup in SETUPS:
        for seeds in ("1", "8"):
            ours("benchmarks.ours_ppo", setup, "4096", seeds, "on")


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("env_steps_per_s", "training_env_steps_per_s", "first_tenth_s", "peak_rss_mb", "return_mean", "command_s")
    compiled = {"compiled": all(run["compiled"] for run in runs)} if "compiled" in runs[0] else {}
    return {**{name: median(run[name] for run in runs) for name in names}, **compiled, "runs": runs}
