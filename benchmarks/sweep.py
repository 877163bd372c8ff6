"""Benchmark of a whole sweep, from the start of the command to its exit, and of RLlib with Ray Tune."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.running import WorkerMemory, ours, peer
from benchmarks.work import CONCURRENCY, ENV, SEARCHED, SETUPS, SWEEP_ENV_STEPS

FEW, MANY = 8, 32
FIXED = {name: value for name, value in SETUPS["short"].hyperparameters().items() if name not in SEARCHED}


def measure(peers_python: str, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Return row -> measurement. "cold" rows start with an empty cache of compiled programs, "warm" rows do not."""
    folder = Path(tempfile.mkdtemp(prefix="tuneexp-bench-"))
    rows: dict[str, dict[str, Any]] = {}

    def take(name: str, run: Callable[[], dict[str, Any]]) -> None:
        rows[name] = run()
        say(f"sweep {name}: {rows[name]['command_s']:.1f} s")

    try:
        take("rllib_8", lambda: _peer(peers_python, FEW, folder / "peer-few"))
        for seeds in (1, 4):
            cache = str(folder / f"cache-{seeds}")
            take(f"ours_8_seeds_{seeds}_cold", lambda s=seeds, c=cache: _ours(FEW, s, folder / f"cold-{s}", c))
            _compile_ahead(seeds, folder, cache)
            take(f"ours_8_seeds_{seeds}_warm", lambda s=seeds, c=cache: _ours(FEW, s, folder / f"warm-{s}", c))
        take("ours_32_seeds_1_warm", lambda: _ours(MANY, 1, folder / "many", str(folder / "cache-1")))
        take("ours_32_seeds_1_cold", lambda: _ours(MANY, 1, folder / "many-cold", str(folder / "cache-many")))
        take("rllib_32", lambda: _peer(peers_python, MANY, folder / "peer-many"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"env_steps_per_trial_and_seed": SWEEP_ENV_STEPS, "concurrency": CONCURRENCY, "rows": rows,
            "beyond_training_s": _beyond_training_s(rows)}  # fmt: skip


def _beyond_training_s(rows: dict[str, dict[str, Any]]) -> float:
    """Return the worker seconds of one more trial beyond training and evaluation, with warm actors.

    It is the difference per trial between 32 and 8 trials, without the time inside `train()`."""
    few, many = rows["ours_8_seeds_1_warm"], rows["ours_32_seeds_1_warm"]
    slot_s = (many["command_s"] - few["command_s"]) * CONCURRENCY / (MANY - FEW)
    return float(slot_s - many["train_s_per_trial"])


def _peer(python: str, trials: int, storage: Path) -> dict[str, Any]:
    memory = WorkerMemory("TwentyAtTheEnd")
    memory.start()
    measured = peer(python, "peer_sweep.py", str(trials), str(storage))
    return {**measured, "worker_peak_mb": memory.stop()}


def _ours(trials: int, seeds: int, storage: Path, cache: str) -> dict[str, Any]:
    space = storage.parent / "space.json"
    space.write_text(json.dumps({name: {kind: [low, high]} for name, (kind, low, high) in SEARCHED.items()}))
    memory = WorkerMemory("AlgorithmTrainable")
    memory.start()
    result = ours(
        "tuneexp", "sweep", "--algorithm", "ppo", "--env", ENV, "--space", str(space), "--trials", str(trials),
        "--seeds", str(seeds), "--env-steps", str(SWEEP_ENV_STEPS), "--scheduler", "fifo", "--searcher", "tpe",
        "--concurrency", str(CONCURRENCY), "--name", "bench", "--storage", str(storage), "--json", *_fixed(),
        settings={"TUNEEXP_CACHE": cache},
    )  # fmt: skip
    finished = [trial for trial in result["trials"] if trial["outcome"] == "completed"]
    return {
        "command_s": result["command_s"],
        "trials": len(finished),
        "best_return_mean": result["best"]["objective"],
        "train_s_per_trial": mean(trial["wall_s"] for trial in finished),
        "worker_peak_mb": memory.stop(),
    }


def _compile_ahead(seeds: int, folder: Path, cache: str) -> None:
    """Store the compiled programs, as an earlier and longer sweep does."""
    ours(
        "tuneexp", "train", "ppo", ENV, "--env-steps", "256", "--seeds", str(seeds), "--compile", "on", "--json",
        "--storage", str(folder / f"ahead-{seeds}"), *_fixed(),
        settings={"TUNEEXP_CACHE": cache},
    )  # fmt: skip


def _fixed() -> list[str]:
    return [part for name, value in FIXED.items() for part in ("--set", f"{name}={value}")]
