"""RLlib's side: `python benchmarks/peer_rllib.py SETUP ENV_STEPS SEED` prints its measurement."""

from __future__ import annotations

import sys
import time

from work import (
    ENV,
    EVALUATION_EPISODES,
    FINAL_EPISODES,
    REPORTS,
    SETUPS,
    Setup,
    Stopwatch,
    hand_over,
    measurement,
    one_thread,
)

one_thread()

import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig


def configured(setup: Setup, env_steps: int, seed: int) -> PPOConfig:
    """RLlib's PPO doing this work in its own process: no remote runner, no remote learner, one thread."""
    return (
        PPOConfig()
        .environment(ENV)
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=setup.n_envs,
            rollout_fragment_length=setup.n_steps,
        )
        .learners(num_learners=0)
        .training(
            lr=setup.learning_rate,
            gamma=setup.gamma,
            lambda_=setup.gae_lambda,
            train_batch_size_per_learner=setup.n_envs * setup.n_steps,
            minibatch_size=setup.batch_size,
            num_epochs=setup.n_epochs,
            clip_param=setup.clip_range,
            entropy_coeff=setup.ent_coef,
            vf_loss_coeff=setup.vf_coef,
            vf_clip_param=float("inf"),
            grad_clip=setup.max_grad_norm,
            grad_clip_by="global_norm",
            use_kl_loss=False,
        )
        .rl_module(
            model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], fcnet_activation="tanh", vf_share_layers=False)
        )
        # One train() is a tenth of the budget, as in the other libraries.
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
    setup, env_steps, seed = SETUPS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    built_s = time.perf_counter()
    algo = configured(setup, env_steps, seed).build_algo()
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
