"""Hyperparameters of APPO."""

from __future__ import annotations

from tuneexp.algorithms.configs.actor_critic import Minibatches
from tuneexp.algorithms.configs.off_policy_actor_critic import OffPolicyActorCriticConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class APPOConfig(Minibatches, OffPolicyActorCriticConfig):
    """Rollouts and step sizes are PPO's published ones for CartPole (RL Zoo), clipping is their first value, and the
    entropy bonus is RLlib's.

    Passes over each rollout take the place of IMPACT's circular buffer, which gives each batch out several times."""

    learning_rate: PositiveScheduledFloat = numeric(
        "linear:0.001", "Step size of the optimizer; a number or linear:0.001."
    )
    gae_lambda: float = numeric(0.95, "Weight of longer returns in V-trace: 0 one step, 1 all.", ge=0.0, le=1.0)
    n_steps: int = structural(32, "Steps per environment in one rollout, over which V-trace looks ahead.", ge=1)
    batch_size: int = structural(
        256, "Rows of one minibatch, which come in sequences; at most the n_envs * n_steps of a rollout.", ge=2
    )
    n_epochs: int = structural(10, "Passes over each rollout.", ge=1)
    clip_range: PositiveScheduledFloat = numeric(0.2, "How far the probability ratio may move; number or linear:0.2.")
    clip_worker: float = numeric(
        2.0, "Bound on the ratio of the policy that acted to the target network's (IMPACT's rho).", gt=0.0
    )
    tau: float = numeric(1.0, "Share of the way that the target network moves; 1: a copy.", gt=0.0, le=1.0)
    target_update_interval: int = structural(
        1, "Environment steps per seed between moves of the target; once a rollout at most.", ge=1
    )
    max_grad_norm: float | None = numeric(0.5, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)
    normalize_advantage: bool = structural(True, "Scale advantages to mean 0, deviation 1 in each minibatch.")
