"""Benchmark of a whole sweep, from the start of the command to its exit, and of RLlib with Ray Tune."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.running import Kept, ours, peer
from benchmarks.work import CONCURRENCY, ENV, SEARCHED, SETUPS, SWEEP_ENV_STEPS

FEW, MANY = 8, 32
REPEATS = 3
FIXED = {name: value for name, value in SETUPS["short"].hyperparameters().items() if name not in SEARCHED}
Row = dict[str, Any]


def measure(peers_python: str, repeats: int = REPEATS, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Return row -> its runs. "cold" rows start with empty caches, "warm" rows with those of an earlier sweep.

    An interrupted measurement continues."""
    kept = Kept("sweep", {"env_steps": SWEEP_ENV_STEPS, "repeats": repeats})
    rows: dict[str, list[Row]] = {}
    for repeat in range(repeats):
        folder = Path(tempfile.mkdtemp(prefix="tuneexp-bench-"))
        try:
            for name, run in _rows(peers_python, folder).items():
                rows.setdefault(name, []).append(kept.take(f"{name} {repeat}", run))
                say(f"sweep {name} run {repeat + 1}: {rows[name][-1]['command_s']:.1f} s")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    kept.finished()
    return {"env_steps_per_trial_and_seed": SWEEP_ENV_STEPS, "concurrency": CONCURRENCY, "repeats": repeats,
            "rows": rows, "beyond_training_s": _beyond_training_s(rows)}  # fmt: skip


def _rows(peers_python: str, folder: Path) -> dict[str, Callable[[], Row]]:
    """Return the rows of a repeat in the order of measurement. Compared rows are neighbours."""
    rows: dict[str, Callable[[], Row]] = {"rllib_8": lambda: _peer(peers_python, FEW, folder / "peer-few")}
    for seeds in (1, 4):
        caches = folder / f"caches-{seeds}"
        rows[f"ours_8_seeds_{seeds}_cold"] = lambda s=seeds: _ours(FEW, s, folder / f"cold-{s}", folder / f"empty-{s}")
        rows[f"ours_8_seeds_{seeds}_warm"] = lambda s=seeds, c=caches: _warm(FEW, s, folder / f"warm-{s}", c)
    rows["ours_32_seeds_1_warm"] = lambda: _warm(MANY, 1, folder / "many", folder / "caches-1")
    rows["rllib_32"] = lambda: _peer(peers_python, MANY, folder / "peer-many")
    return rows


def _beyond_training_s(rows: dict[str, list[Row]]) -> float:
    """Return the worker seconds of one more trial beyond training and evaluation, with warm actors.

    It is the difference per trial between 32 and 8 trials, without the time inside `train()`; the median of repeats."""
    pairs = zip(rows["ours_8_seeds_1_warm"], rows["ours_32_seeds_1_warm"], strict=True)
    return median(
        (many["command_s"] - few["command_s"]) * CONCURRENCY / (MANY - FEW) - many["train_s_per_trial"]
        for few, many in pairs
    )


def _peer(python: str, trials: int, storage: Path) -> Row:
    return peer(python, "rllib_sweep.py", str(trials), str(storage), worker_name="TwentyAtTheEnd")


def caches_in(folder: Path) -> dict[str, str]:
    """Return the environment variables by which all caches are in a folder.

    Inductor has a cache of its own, with compiled headers and the results of its probes."""
    return {"TUNEEXP_CACHE": str(folder / "tuneexp"), "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}


def _ours(trials: int, seeds: int, storage: Path, caches: Path) -> Row:
    space = storage.parent / "space.json"
    space.write_text(json.dumps({name: {kind: [low, high]} for name, (kind, low, high) in SEARCHED.items()}))
    result = ours(
        "tuneexp", "sweep", "--algorithm", "ppo", "--env", ENV, "--space", str(space), "--trials", str(trials),
        "--seeds", str(seeds), "--env-steps", str(SWEEP_ENV_STEPS), "--scheduler", "fifo", "--searcher", "tpe",
        "--concurrency", str(CONCURRENCY), "--name", "bench", "--storage", str(storage), "--json", *_fixed(),
        settings=caches_in(caches), worker_name="AlgorithmTrainable",
    )  # fmt: skip
    finished = [trial for trial in result["trials"] if trial["outcome"] == "completed"]
    return {
        **{name: result[name] for name in ("command_s", "cpu_s", "worker_peak_mb")},
        "trials": len(finished),
        "best_return_mean": result["best"]["objective"],
        "train_s_per_trial": mean(trial["wall_s"] for trial in finished),
    }


def _warm(trials: int, seeds: int, storage: Path, caches: Path) -> Row:
    """Run a sweep after the compiled programs are stored, as by an earlier and longer sweep."""
    ours(
        "tuneexp", "train", "ppo", ENV, "--env-steps", "256", "--seeds", str(seeds), "--compile", "on", "--json",
        "--storage", f"{storage}-ahead", *_fixed(), settings=caches_in(caches),
    )  # fmt: skip
    return _ours(trials, seeds, storage, caches)


def _fixed() -> list[str]:
    return [part for name, value in FIXED.items() for part in ("--set", f"{name}={value}")]
