"""RLlib: `python rllib_appo.py ENV_STEPS SEED` prints its measurement."""

from __future__ import annotations

import sys

from rllib_run import measured, reported  # first: it sets the number of threads, which torch reads when it is loaded

# isort: split
from ray.rllib.algorithms.appo import APPOConfig
from work import APPO_WORK


def configured(env_steps: int, seed: int) -> APPOConfig:
    """Two runners of four environments each; each batch is used `n_epochs` times, as in the defaults of RLlib."""
    work = APPO_WORK
    config = (
        APPOConfig()
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
    )
    return reported(config, env_steps, seed)


if __name__ == "__main__":
    env_steps, seed = int(sys.argv[1]), int(sys.argv[2])
    measured(configured(env_steps, seed), env_steps, n_cpus=4)
