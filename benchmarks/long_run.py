"""`python -m benchmarks.long_run --hours 2`: train PPO on Pong with its published configuration, one seed.

The whole budget takes about 14 hours on one core. A run stops after `--hours` and keeps a checkpoint in
`runs/long_run/`; the next run continues from it. The curve so far is in `benchmarks/results/long_run.json`, and
`python -m benchmarks page` adds it to docs/learning.md."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.clock import one_thread
from benchmarks.learning_tasks import LONG_RUN
from benchmarks.running import RESULTS, ROOT

one_thread()

from benchmarks import machine
from tuneexp.algorithms.registry import load_spec

KEPT = RESULTS / "long_run.json"
CHECKPOINTS = ROOT / "runs" / "long_run"
REPORT_EVERY_ENV_STEPS = 100_000


def stored() -> dict[str, Any] | None:
    """Return the stored curve of `LONG_RUN`, or None."""
    measured: dict[str, Any] | None = json.loads(KEPT.read_text()) if KEPT.exists() else None
    same = measured is not None and measured["hyperparameters"] == LONG_RUN.hyperparameters
    return measured if same else None


def train(hours: float) -> None:
    algo = load_spec(LONG_RUN.algorithm).build(
        env=LONG_RUN.env,
        seeds=[0],
        budget_env_steps=LONG_RUN.env_steps,
        report_every_env_steps=REPORT_EVERY_ENV_STEPS,
        **LONG_RUN.hyperparameters,
    )
    if (newest := _newest_checkpoint()) is not None:
        algo.restore(str(newest))
    until_s = time.monotonic() + hours * 3600
    done = False
    while not done and time.monotonic() < until_s:
        result = algo.train()
        done = result["done"]
        _save(algo, result["env_steps"])
        _append(result)
        print(f"{result['env_steps']:,} steps: {result['return_mean']:.1f}", flush=True)


def _newest_checkpoint() -> Path | None:
    return max(CHECKPOINTS.glob("checkpoint_*"), default=None)


def _save(algo: Any, env_steps: int) -> None:
    older = list(CHECKPOINTS.glob("checkpoint_*"))
    algo.save(str(CHECKPOINTS / f"checkpoint_{env_steps:012d}"))
    for path in older:
        shutil.rmtree(path)


def _append(result: dict[str, Any]) -> None:
    """Store a report. Stored reports after its step are of a run that was killed, and are removed."""
    measured = stored() or {"hyperparameters": LONG_RUN.hyperparameters, "reports": []}
    report = {name: result[name] for name in ("env_steps", "return_mean", "train/return_mean")}
    before = [kept for kept in measured["reports"] if kept["env_steps"] < result["env_steps"]]
    whole = {**measured, "machine": machine.describe_here(), "reports": [*before, report]}
    KEPT.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    train(parser.parse_args().hours)
