"""Training with the code on PYTHONPATH: `python benchmarks/one_commit.py SETUP ENV_STEPS SEEDS COMPILE`.

That code may be older than this file, which uses nothing else of the project but work.py beside it. Prints the CPU
seconds of the training after its first report, without evaluation."""

from __future__ import annotations

import sys
import time

from work import ALL_SETUPS, Stopwatch, hand_over, one_thread

one_thread()

from tuneexp.algorithms.registry import load_spec


def training_cpu_s(setup: str, env_steps: int, n_seeds: int, compilation: str) -> float:
    """Train once. Returns CPU seconds."""
    what = ALL_SETUPS[setup]
    algo = load_spec(what.algorithm).build(
        env=what.env, seeds=list(range(n_seeds)), budget_env_steps=env_steps,
        evaluation={"episodes": 1, "final_episodes": 1}, compile=compilation, **what.hyperparameters(),
    )  # fmt: skip
    result = algo.train()
    algo.trial.evaluate = watch = Stopwatch(algo.trial.evaluate, time.process_time)
    started_s = time.process_time()
    while not result["done"]:
        result = algo.train()
    spent_s = time.process_time() - started_s - watch.seconds
    algo.stop()
    return spent_s


def main() -> None:
    spent_s = training_cpu_s(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    hand_over({"training_cpu_s": spent_s, "code": str(sys.modules["tuneexp"].__file__)})


if __name__ == "__main__":
    main()
