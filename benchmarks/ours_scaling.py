"""One sweep of tiny trials: `python -m benchmarks.ours_scaling TRIALS STORAGE` prints the costs of the driver."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from benchmarks.clock import hand_over, one_thread

one_thread()

from tuneexp import Sweep

# Ten rollouts of 64 steps, a report after each: this measures the costs of a trial beside its training.
TINY = {"n_envs": 2, "n_steps": 32, "batch_size": 64, "n_epochs": 1, "model": {"hidden_sizes": [8]}}
ENV_STEPS, REPORTS, CONCURRENCY = 640, 10, 2


def main() -> None:
    trials, storage = int(sys.argv[1]), Path(sys.argv[2])
    started_s = time.perf_counter()
    sweep = Sweep(
        "ppo",
        "CartPole-v1",
        space={"learning_rate": {"loguniform": [1e-4, 1e-2]}, "gamma": {"uniform": [0.9, 0.999]}},
        trials=trials,
        seeds=1,
        budget_env_steps=ENV_STEPS,
        report_every_env_steps=ENV_STEPS // REPORTS,
        evaluation={"episodes": 1, "final_episodes": 1},
        scheduler="fifo",
        searcher="random",  # of constant cost; that of TPE grows with the trials and would dominate
        concurrency=CONCURRENCY,
        fixed=TINY,
        compile="off",
        name="scaling",
        storage=storage,
    )
    result = sweep.run()
    assert len(result.trials) == trials
    assert {trial.outcome for trial in result.trials} == {"completed"}
    hand_over(
        {
            "sweep_s": time.perf_counter() - started_s,
            "train_s": sum(trial.wall_s for trial in result.trials),
            "driver_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )


if __name__ == "__main__":
    main()
