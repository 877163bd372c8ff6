"""Hyperparameters of PPO."""

from __future__ import annotations

from tuneexp.algorithms.configs.rollouts import Minibatches, RolloutConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class PPOConfig(Minibatches, RolloutConfig):
    """Defaults are those of Stable-Baselines3, with the 2048 rows of a rollout taken from eight environments."""

    batch_size: int = structural(
        64, "Minibatch size in rows, also with sequences; at most the n_envs * n_steps rows of a rollout.", ge=2
    )
    n_epochs: int = structural(10, "Number of epochs over each rollout.", ge=1)
    gae_lambda: float = numeric(0.95, "GAE lambda: 0 is one-step TD, 1 is Monte Carlo.", ge=0.0, le=1.0)
    clip_range: PositiveScheduledFloat = numeric(
        0.2, "Clipping range of the probability ratio (epsilon); a number or a schedule such as linear:0.2."
    )
    clip_range_vf: PositiveScheduledFloat | None = numeric(
        None, "Clipping range of value predictions, in units of the return; None: no clipping."
    )
    ent_coef: float = numeric(0.0, "Entropy coefficient: weight of the entropy bonus in the loss.", ge=0.0)
    vf_coef: float = numeric(0.5, "Value function coefficient: weight of the value loss.", ge=0.0)
    max_grad_norm: float | None = numeric(0.5, "Maximum gradient norm, clipped per seed; None: no clipping.", gt=0.0)
    target_kl: float | None = numeric(
        None,
        "Early stopping: no more updates on a rollout once the KL divergence exceeds 1.5 * target_kl; None: off.",
        gt=0.0,
    )
    normalize_advantage: bool = structural(
        True, "Standardise advantages to mean 0 and standard deviation 1 in each minibatch."
    )
