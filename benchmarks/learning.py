"""Does PPO learn? `python -m benchmarks.learning` trains 5 seeds at once and prints JSON beside what was asked.

The score is the final deterministic policy over 20 episodes of each seed."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.work import SETUPS, one_thread

one_thread()

from tuneexp import PPO

SEEDS = [0, 1, 2, 3, 4]
BUDGET_ENV_STEPS = 100_000


@dataclass(frozen=True)
class Task:
    env: str
    hyperparameters: dict[str, Any]
    asked: str

    def reached(self, per_seed: list[float]) -> bool:
        if self.env == "CartPole-v1":
            return min(per_seed) >= 475
        return sum(per_seed) / len(per_seed) >= -250


def _cartpole() -> dict[str, Any]:
    return {key: value for key, value in vars(SETUPS["short"]).items() if key != "title"}


TASKS = [
    Task("CartPole-v1", _cartpole(), "475 on 5 of 5 seeds"),
    Task(
        "Pendulum-v1",
        {"n_envs": 4, "n_steps": 1024, "batch_size": 64, "n_epochs": 10, "gamma": 0.9, "gae_lambda": 0.95,
         "learning_rate": 1e-3},
        "-250 in the mean of 5 seeds",
    ),
]  # fmt: skip


def learn(task: Task) -> dict[str, Any]:
    """Train all seeds at once to the budget; returns the scores and what they took."""
    started_s = time.perf_counter()
    algo = PPO.build(env=task.env, seeds=SEEDS, budget_env_steps=BUDGET_ENV_STEPS, **task.hyperparameters)
    result = algo.train()
    while not result["done"]:
        result = algo.train()
    per_seed = result["return_per_seed"]
    return {
        "env": task.env,
        "env_steps_per_seed": result["env_steps"],
        "return_per_seed": per_seed,
        "return_mean": result["return_mean"],
        "asked": task.asked,
        "reached": task.reached(per_seed),
        "wall_s": time.perf_counter() - started_s,
        "compiled": result["compiled"],
        "hyperparameters": task.hyperparameters,
    }


def main() -> None:
    results = [learn(task) for task in TASKS]
    print(json.dumps(results, indent=2))
    sys.exit(0 if all(result["reached"] for result in results) else 1)


if __name__ == "__main__":
    main()
