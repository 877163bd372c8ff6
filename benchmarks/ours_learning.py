"""`python -m benchmarks.ours_learning TASK` trains one task of `benchmarks.learning` and prints its measurement."""

from __future__ import annotations

import sys
import time

from benchmarks.learning import BUDGET_ENV_STEPS, SEEDS, TASKS
from benchmarks.work import hand_over, one_thread

one_thread()

from tuneexp import PPO


def main() -> None:
    task = TASKS[sys.argv[1]]
    started_s = time.perf_counter()
    algo = PPO.build(env=task.env, seeds=SEEDS, budget_env_steps=BUDGET_ENV_STEPS, compile="on", **task.hyperparameters)
    result = algo.train()
    while not result["done"]:
        result = algo.train()
    scores = result["return_per_seed"]
    hand_over(
        {
            "return_per_seed": scores,
            "return_mean": result["return_mean"],
            "env_steps": result["env_steps"],
            "wall_s": time.perf_counter() - started_s,
            "compiled": result["compiled"],
            "reached": task.reached(scores),
        }
    )


if __name__ == "__main__":
    main()
