"""`python -m benchmarks.learning_one TASK ENV_STEPS` trains one task of `benchmarks.learning_tasks`, five seeds at
once, and prints its measurement. ENV_STEPS: maximum number of steps per seed."""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks.clock import hand_over, one_thread, peak_rss_mb
from benchmarks.learning_tasks import SEEDS, TASKS, Task
from benchmarks.work import FINAL_EPISODES

one_thread()

from tuneexp.algorithms.registry import load_spec
from tuneexp.algorithms.spec import AlgorithmSpec

CURVE_POINTS = 20
EVALUATION_EPISODES = 5


def whole_rollouts(spec: AlgorithmSpec, task: Task, env_steps: int) -> int:
    """Return the largest whole number of rollouts within the budget."""
    rollout = spec.config_class.parse(task.hyperparameters, spec.name).rollout_env_steps()
    return env_steps // rollout * rollout


def train(task: Task, env_steps: int) -> dict[str, Any]:
    started_s = time.perf_counter()
    spec = load_spec(task.algorithm)
    budget = whole_rollouts(spec, task, env_steps)
    algo = spec.build(
        env=task.env,
        seeds=SEEDS,
        budget_env_steps=budget,
        report_every_env_steps=max(1, budget // CURVE_POINTS),
        evaluation={"episodes": EVALUATION_EPISODES, "final_episodes": FINAL_EPISODES},
        compile="on",
        **task.settings,
        **task.hyperparameters,
    )
    results = [algo.train()]
    while not results[-1]["done"]:
        results.append(algo.train())
        print(f"{results[-1]['env_steps']:,} steps: {results[-1]['return_mean']:.1f}", file=sys.stderr, flush=True)
    last = results[-1]
    return {
        "return_per_seed": last["return_per_seed"],
        "failed_seeds": last["failed_seeds"],
        "env_steps": last["env_steps"],
        "wall_s": time.perf_counter() - started_s,
        "train_s": last["time/train_s"],
        "compiled": last["compiled"],
        "peak_rss_mb": peak_rss_mb(),
        "curve": {
            "env_steps": [result["env_steps"] for result in results],
            "return_per_seed": [result["return_per_seed"] for result in results],
        },
    }


if __name__ == "__main__":
    hand_over(train(TASKS[sys.argv[1]], int(sys.argv[2])))
