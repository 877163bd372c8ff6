"""Hyperparameters of APPO."""

from __future__ import annotations

from tuneexp.algorithms.configs.rollouts import Minibatches
from tuneexp.algorithms.configs.vtrace import VTraceConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class APPOConfig(Minibatches, VTraceConfig):
    """Rollouts and learning rate are PPO's published ones for CartPole (RL Zoo), clip_range is their initial value, and
    the entropy coefficient is RLlib's.

    Several epochs over each rollout replace IMPACT's circular buffer, which replays each batch several times.
    """

    learning_rate: PositiveScheduledFloat = numeric(
        "linear:0.001", "Learning rate of the optimizer; a number or a schedule such as linear:0.001."
    )
    gae_lambda: float = numeric(0.95, "Lambda of V-trace: 0 is one-step TD, 1 is full V-trace.", ge=0.0, le=1.0)
    n_steps: int = structural(32, "Rollout length: steps per environment, the horizon of V-trace.", ge=1)
    batch_size: int = structural(
        256, "Minibatch size in rows, made up of whole sequences; at most the n_envs * n_steps rows of a rollout.", ge=2
    )
    n_epochs: int = structural(10, "Number of epochs over each rollout.", ge=1)
    clip_range: PositiveScheduledFloat = numeric(
        0.2, "Clipping range of the probability ratio (epsilon); a number or a schedule such as linear:0.2."
    )
    clip_worker: float = numeric(
        2.0, "Upper bound of the ratio of the behaviour policy to the target network's policy (rho of IMPACT).", gt=0.0
    )
    tau: float = numeric(1.0, "Polyak coefficient of the target network; 1 is a hard copy.", gt=0.0, le=1.0)
    target_update_interval: int = structural(
        1, "Environment steps per seed between target network updates; at most one update per rollout.", ge=1
    )
    max_grad_norm: float | None = numeric(0.5, "Maximum gradient norm, clipped per seed; None: no clipping.", gt=0.0)
    normalize_advantage: bool = structural(
        True, "Standardise advantages to mean 0 and standard deviation 1 in each minibatch."
    )
