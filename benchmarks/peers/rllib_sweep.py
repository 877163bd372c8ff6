"""RLlib under Tune: `python rllib_sweep.py TRIALS STORAGE` runs the sweep with Optuna's TPE.

It does less than a sweep of tuneexp: nothing is sent to MLflow, and each trial writes only one checkpoint."""

from __future__ import annotations

import os
import sys
from typing import Any

from clock import hand_over, one_thread
from work import CONCURRENCY, EVALUATION_EPISODES, FINAL_EPISODES, SEARCHED, SETUPS, SWEEP_ENV_STEPS

one_thread()
os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"

import ray
from ray import tune
from ray.rllib.algorithms.ppo import PPO
from ray.tune.search.optuna import OptunaSearch
from rllib_ppo import configured

CLOCK = "num_env_steps_sampled_lifetime"
SCORE = "evaluation/env_runners/episode_return_mean"
RLLIB_NAMES = {"learning_rate": "lr", "clip_range": "clip_param", "ent_coef": "entropy_coeff", "gamma": "gamma"}
DISTRIBUTIONS = {"uniform": tune.uniform, "loguniform": tune.loguniform}


class TwentyAtTheEnd(PPO):
    """RLlib evaluates 5 episodes after each tenth of the budget; the last evaluation is extended to 20."""

    def step(self) -> dict[str, Any]:
        results: dict[str, Any] = super().step()
        if results[CLOCK] >= SWEEP_ENV_STEPS:
            for _ in range(FINAL_EPISODES // EVALUATION_EPISODES - 1):
                self.evaluate()
        return results


def main() -> None:
    trials, storage = int(sys.argv[1]), sys.argv[2]
    ray.init(address="local", num_cpus=CONCURRENCY, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    config = configured(SETUPS["short"], SWEEP_ENV_STEPS, seed=0)
    searched = {RLLIB_NAMES[name]: DISTRIBUTIONS[kind](low, high) for name, (kind, low, high) in SEARCHED.items()}
    results = tune.Tuner(
        TwentyAtTheEnd,
        param_space={**config.to_dict(), **searched},
        tune_config=tune.TuneConfig(
            num_samples=trials,
            max_concurrent_trials=CONCURRENCY,
            metric=SCORE,
            mode="max",
            search_alg=OptunaSearch(seed=0),
        ),
        run_config=tune.RunConfig(
            storage_path=storage,
            name="peer",
            stop={CLOCK: SWEEP_ENV_STEPS},
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
            verbose=0,
        ),
    ).fit()
    finished = [result for result in results if result.error is None]
    scores = [result.metrics["evaluation"]["env_runners"]["episode_return_mean"] for result in finished]
    hand_over({"trials": len(finished), "best_return_mean": max(scores)})


if __name__ == "__main__":
    main()
