"""RLlib: `python rllib_ppo.py SETUP ENV_STEPS SEED` prints its measurement."""

from __future__ import annotations

import sys

from rllib_run import measured, reported  # first: it sets the number of threads, which torch reads when it is loaded

# isort: split
from ray.rllib.algorithms.ppo import PPOConfig
from work import SETUPS, Setup


def configured(setup: Setup, env_steps: int, seed: int) -> PPOConfig:
    """RLlib's PPO for this work in one process: no remote runner, no remote learner, one thread."""
    config = (
        PPOConfig()
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
    )
    return reported(config, env_steps, seed)


if __name__ == "__main__":
    setup, env_steps, seed = SETUPS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    measured(configured(setup, env_steps, seed), env_steps, n_cpus=1)
