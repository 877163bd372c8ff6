"""Benchmark of training in one process: tuneexp with one and eight seeds, and the same work in the peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.running import Kept, ours, peer
from benchmarks.work import ALL_SETUPS, PARTS, SETUPS

REPEATS = 3


class Pythons(NamedTuple):
    """The virtual environments of the peers: their versions of jax and gymnasium differ."""

    peers: str = ".venv-peers/bin/python"
    jax: str = ".venv-peers-jax/bin/python"

    def missing(self) -> list[str]:
        return [python for python in self if not Path(python).exists()]


Side = Callable[[Pythons, str, str], dict[str, Any]]


def _ours(seeds: str, env_backend: str = "tensor") -> Side:
    """Return a side of tuneexp. env_backend: of PPO, by default as in the peer in JAX; others have their default."""

    def run(_: Pythons, setup: str, steps: str) -> dict[str, Any]:
        settings = [f"env_backend={env_backend}"] if setup in SETUPS else []
        return ours("benchmarks.ours_training", setup, steps, seeds, "on", *settings)

    return run


SIDES: dict[str, Side] = {
    "ours_1": _ours("1"),
    "ours_native_1": _ours("1", "native"),
    "ours_python_1": _ours("1", "sync"),
    "ours_8": _ours("8"),
    "ours_native_8": _ours("8", "native"),
    "jax_1": lambda pythons, setup, steps: peer(pythons.jax, "jax_ppo.py", setup, steps, "1"),
    "jax_8": lambda pythons, setup, steps: peer(pythons.jax, "jax_ppo.py", setup, steps, "8"),
    "sbx": lambda pythons, setup, steps: peer(pythons.jax, "stable_baselines.py", "sbx", setup, steps, "0"),
    "torch": lambda pythons, setup, steps: peer(pythons.peers, "torch_ppo.py", setup, steps, "0"),
    "sb3": lambda pythons, setup, steps: peer(pythons.peers, "stable_baselines.py", "sb3", setup, steps, "0"),
    "rllib": lambda pythons, setup, steps: peer(pythons.peers, "rllib_ppo.py", setup, steps, "0"),
}
# In the order of measurement. Compared sides are neighbours, so that drift affects both.
_PPO = ("sb3", "ours_1", "jax_1", "jax_8", "ours_8", "ours_native_1", "ours_native_8", "sbx", "torch", "rllib")
_REPLAY = ("sb3", "ours_1", "sbx", "ours_8")
MEASURED: dict[str, tuple[str, ...]] = {
    "short": (*_PPO[:2], "ours_python_1", *_PPO[2:]),
    "long": _PPO,
    "dqn_256": _REPLAY,
    "dqn_64": _REPLAY,
    "sac_256": _REPLAY[:3],
    "sac_64": _REPLAY,
    "tqc_64": _REPLAY[1:],  # Stable-Baselines3 has no TQC
}


def measure(
    part: str, pythons: Pythons, repeats: int = REPEATS, say: Callable[[str], None] = print,
    env_steps: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return setup -> side -> the runs and their medians. The compiler cache is warm; the sweep measures cold starts.

    An interrupted measurement continues. env_steps: another budget than that of the setups, for a test."""
    setups = {name: env_steps or ALL_SETUPS[name].env_steps for name in PARTS[part]}
    kept = Kept(part, {"setups": setups, "repeats": repeats})
    _warm_the_cache(setups)
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {setup: {} for setup in setups}
    for repeat in range(repeats):
        for setup, steps in setups.items():
            for name in MEASURED[setup]:
                run = SIDES[name]
                measured = kept.take(
                    f"{setup} {name} {repeat}", lambda run=run, s=setup, n=steps: run(pythons, s, str(n))
                )
                runs[setup].setdefault(name, []).append(measured)
                rate = measured["training_env_steps_per_s"]
                say(f"{setup} {name} run {repeat + 1}: {rate:,.0f} env steps/s, return {measured['return_mean']:.0f}")
    kept.finished()
    return {
        "env_steps_per_seed": setups,
        "repeats": repeats,
        "setups": {setup: {side: summary(taken) for side, taken in by.items()} for setup, by in runs.items()},
    }


def _warm_the_cache(setups: Iterable[str]) -> None:
    """Run a fifth of the budget with each program, so that it is compiled."""
    for setup in setups:
        for side in MEASURED[setup]:
            if side.startswith("ours_"):
                SIDES[side](Pythons(), setup, str(ALL_SETUPS[setup].env_steps // 5))


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of all numbers."""
    names = [name for name, value in runs[0].items() if isinstance(value, float)]
    compiled = {"compiled": all(run["compiled"] for run in runs)} if "compiled" in runs[0] else {}
    return {**{name: median(run[name] for run in runs) for name in names}, **compiled, "runs": runs}
