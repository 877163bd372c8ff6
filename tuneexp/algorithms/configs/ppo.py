"""Hyperparameters of PPO."""

from __future__ import annotations

from tuneexp.algorithms.configs.actor_critic import Minibatches, OnPolicyConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class PPOConfig(Minibatches, OnPolicyConfig):
    """Defaults are those of Stable-Baselines3, for eight environments."""

    batch_size: int = structural(
        64, "Rows of one minibatch, also where they come in sequences; at most the n_envs * n_steps of a rollout.", ge=2
    )
    n_epochs: int = structural(10, "Passes over each rollout.", ge=1)
    gae_lambda: float = numeric(0.95, "Weight of longer returns in the advantage: 0 one step, 1 all.", ge=0.0, le=1.0)
    clip_range: PositiveScheduledFloat = numeric(0.2, "How far the probability ratio may move; number or linear:0.2.")
    clip_range_vf: PositiveScheduledFloat | None = numeric(
        None, "The same for the value prediction; None: no clipping."
    )
    ent_coef: float = numeric(0.0, "Weight of the entropy bonus.", ge=0.0)
    vf_coef: float = numeric(0.5, "Weight of the value loss.", ge=0.0)
    max_grad_norm: float | None = numeric(0.5, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)
    target_kl: float | None = numeric(None, "Stop a rollout's updates beyond 1.5 times this divergence.", gt=0.0)
    normalize_advantage: bool = structural(True, "Scale advantages to mean 0, deviation 1 in each minibatch.")
