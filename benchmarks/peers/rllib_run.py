"""Common parts of all RLlib runs: network, reports, evaluation and measurement."""

from __future__ import annotations

from typing import Any

from clock import Tenths, hand_over, one_thread
from work import ENV, EVALUATION_EPISODES, FINAL_EPISODES, REPORTS

one_thread()

import ray
import torch
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig


def reported(config: Any, env_steps: int, seed: int) -> Any:
    """Return an `AlgorithmConfig` with the common environment, network and evaluation."""
    return (
        config.environment(ENV)
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


def measured(config: Any, env_steps: int, n_cpus: int) -> None:
    """Train with a new local Ray and print the measurement."""
    torch.set_num_threads(1)
    ray.init(address="local", num_cpus=n_cpus, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    algo = config.build_algo()
    steps = first = algo.train()["num_env_steps_sampled_lifetime"]
    clock = Tenths(algo.evaluate)
    algo.evaluate = clock.evaluate
    clock.end_first()
    while steps < env_steps:
        steps = algo.train()["num_env_steps_sampled_lifetime"]
    for _ in range(FINAL_EPISODES // EVALUATION_EPISODES - 1):
        evaluation = algo.evaluate()
    hand_over(clock.measurement(steps - first, float(evaluation["env_runners"]["episode_return_mean"])))
    ray.shutdown()
