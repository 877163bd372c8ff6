"""RLlib's side: `python benchmarks/peer_appo.py ENV_STEPS SEED` prints its measurement."""

from __future__ import annotations

import sys
import time

from work import (
    APPO_WORK,
    ENV,
    EVALUATION_EPISODES,
    FINAL_EPISODES,
    REPORTS,
    Stopwatch,
    hand_over,
    measurement,
    one_thread,
)

one_thread()

import ray
import torch
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig


def configured(env_steps: int, seed: int) -> APPOConfig:
    """Two runners of four environments each; each batch is learned from `n_epochs` times, as RLlib's default has it."""
    work = APPO_WORK
    return (
        APPOConfig()
        .environment(ENV)
        .env_runners(
            num_env_runners=work["num_env_runners"],
            num_envs_per_env_runner=work["n_envs"] // work["num_env_runners"],
            rollout_fragment_length=work["n_steps"],
            num_cpus_per_env_runner=1,
        )
        .learners(num_learners=0, num_aggregator_actors_per_learner=0)
        .training(
            lr=work["learning_rate"],
            gamma=work["gamma"],
            train_batch_size_per_learner=work["n_envs"] * work["n_steps"],
            circular_buffer_iterations_per_batch=work["n_epochs"],
        )
        .rl_module(
            model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], fcnet_activation="tanh", vf_share_layers=False)
        )
        # One train() is a tenth of the budget, as here.
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=env_steps // REPORTS)
        .evaluation(
            evaluation_interval=1,
            evaluation_num_env_runners=0,
            evaluation_duration=EVALUATION_EPISODES,
            evaluation_duration_unit="episodes",
            evaluation_config={"explore": False, "num_envs_per_env_runner": EVALUATION_EPISODES},
        )
        .debugging(seed=seed, log_level="ERROR")
    )


def main() -> None:
    env_steps, seed = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    ray.init(address="local", num_cpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    built_s = time.perf_counter()
    algo = configured(env_steps, seed).build_algo()
    steps = first = algo.train()["num_env_steps_sampled_lifetime"]
    algo.evaluate = watch = Stopwatch(algo.evaluate)
    started_s = time.perf_counter()
    while steps < env_steps:
        steps = algo.train()["num_env_steps_sampled_lifetime"]
    for _ in range(FINAL_EPISODES // EVALUATION_EPISODES - 1):
        evaluation = algo.evaluate()
    wall_s = time.perf_counter() - started_s
    score = float(evaluation["env_runners"]["episode_return_mean"])
    hand_over(measurement(steps - first, wall_s, watch.seconds, started_s - built_s, score))
    ray.shutdown()


if __name__ == "__main__":
    main()
