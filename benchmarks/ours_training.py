"""Training with tuneexp: `python -m benchmarks.ours_training SETUP ENV_STEPS SEEDS COMPILE [DEVICE]`.

It prints the measurement. ENV_STEPS is the budget of each of the SEEDS seeds; the rate is their sum."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.work import (
    ALL_SETUPS,
    EVALUATION_EPISODES,
    FINAL_EPISODES,
    Stopwatch,
    hand_over,
    measurement,
    one_thread,
)

one_thread()

from tuneexp.algorithms.registry import load_spec


def trained(
    algorithm: str, env: str, env_steps: int, n_seeds: int, compile_mode: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Train once and return the measurement. settings: hyperparameters, and settings of the trial."""
    built_s = time.perf_counter()
    algo = load_spec(algorithm).build(
        env=env,
        seeds=list(range(n_seeds)),
        budget_env_steps=env_steps,
        evaluation={"episodes": EVALUATION_EPISODES, "final_episodes": FINAL_EPISODES},
        compile=compile_mode,
        **settings,
    )
    result = algo.train()
    group = algo.trial.group
    first = group.transitions
    algo.trial.evaluate = watch = Stopwatch(algo.trial.evaluate)
    started_s = time.perf_counter()
    while not result["done"]:
        result = algo.train()
    wall_s = time.perf_counter() - started_s
    # Without steps that only reset an environment: the environments of the peers have none.
    steps = group.transitions - first
    measured = measurement(steps, wall_s, watch.seconds, started_s - built_s, result["return_mean"])
    algo.stop()
    return {**measured, "compiled": result["compiled"], "cuda_graphs": result.get("cuda_graphs", False)}


def main() -> None:
    setup, env_steps, n_seeds, compile_mode = ALL_SETUPS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    device = sys.argv[5] if len(sys.argv) > 5 else "cpu"
    settings = {**setup.hyperparameters(), "device": device}
    hand_over(trained(setup.algorithm, setup.env, env_steps, n_seeds, compile_mode, settings))


if __name__ == "__main__":
    main()
