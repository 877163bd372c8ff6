"""This project's side: `python -m benchmarks.ours_ppo SETUP ENV_STEPS SEEDS COMPILE` prints its measurement.

ENV_STEPS is the budget of each of the SEEDS seeds; the rate adds them up."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

from benchmarks.work import (
    ENV,
    EVALUATION_EPISODES,
    FINAL_EPISODES,
    SETUPS,
    Stopwatch,
    hand_over,
    measurement,
    one_thread,
)

one_thread()

from tuneexp import PPO


def main() -> None:
    setup, env_steps, n_seeds, compile_mode = SETUPS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    hyperparameters = {key: value for key, value in asdict(setup).items() if key != "title"}
    built_s = time.perf_counter()
    algo = PPO.build(
        env=ENV,
        seeds=list(range(n_seeds)),
        budget_env_steps=env_steps,
        evaluation={"episodes": EVALUATION_EPISODES, "final_episodes": FINAL_EPISODES},
        compile=compile_mode,
        **hyperparameters,
    )
    result = algo.train()
    runner = algo.trial.group.local_runner
    first = runner.transitions
    algo.trial.evaluate = watch = Stopwatch(algo.trial.evaluate)
    started_s = time.perf_counter()
    while not result["done"]:
        result = algo.train()
    wall_s = time.perf_counter() - started_s
    # Steps that only reset an environment, which the peers' environments don't have, are left out.
    steps = runner.transitions - first
    measured = measurement(steps, wall_s, watch.seconds, started_s - built_s, result["return_mean"])
    hand_over({**measured, "compiled": result["compiled"]})


if __name__ == "__main__":
    main()
