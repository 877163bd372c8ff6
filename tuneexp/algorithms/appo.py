"""Asynchronous PPO: a clipped surrogate on V-trace, around a target network (Luo et al. 2020, IMPACT)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tuneexp.algorithms.actor_critic import act, build_model, policy_and_value, policy_and_value_of
from tuneexp.algorithms.off_policy_actor_critic import (
    OffPolicyActorCriticConfig,
    corrected,
    transitions_in_time,
)
from tuneexp.algorithms.ppo import adam
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.config import AtMost, numeric, structural
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.target import TargetUpdate
from tuneexp.rl.losses import (
    approx_kl,
    clip_fraction,
    clipped_surrogate,
    explained_variance,
    mean_over,
    normalize,
    value_loss,
)
from tuneexp.rl.schedules import PositiveScheduledFloat


class APPOConfig(OffPolicyActorCriticConfig):
    """Rollouts and step sizes are PPO's published ones for CartPole (RL Zoo), clipping is their first value, and the
    entropy bonus is RLlib's.

    Passes over each rollout take the place of IMPACT's circular buffer, which gives each batch out several times."""

    learning_rate: PositiveScheduledFloat = numeric(
        "linear:0.001", "Step size of the optimizer; a number or linear:0.001."
    )
    gae_lambda: float = numeric(0.95, "Weight of longer returns in V-trace: 0 one step, 1 all.", ge=0.0, le=1.0)
    n_steps: int = structural(32, "Steps per environment in one rollout, over which V-trace looks ahead.", ge=1)
    batch_size: int = structural(256, "Rows of one minibatch, which come in sequences; at most n_envs * n_steps.", ge=2)
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

    constraints: ClassVar[tuple[AtMost, ...]] = (AtMost("batch_size", ("n_envs", "n_steps")),)

    def minibatch_rows(self) -> int:
        return self.in_sequences(self.batch_size)

    def updates_per_rollout(self) -> int:
        return self.n_epochs * -(-self.in_sequences(self.rollout_rows()) // self.minibatch_rows())


def appo_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """batch: sequences [L, B, ...]. IMPACT's objective (section 3.1 of the paper): the ratio is that of the policy to
    the target network's, with the part in which the policy that acted lags behind the target bounded. V-trace judges
    the target network's policy, by its values. Where the target is the policy that acted, this is PPO."""
    dist, value = policy_and_value(nets, batch)
    target_dist, target_value = policy_and_value_of(nets.target, batch)
    counts = batch["mask"]
    log_ratio = dist.log_prob(batch["action"]) - batch["log_prob"]  # to the policy that acted
    target_log_ratio = target_dist.log_prob(batch["action"]) - batch["log_prob"]
    trace = corrected(nets.target, target_log_ratio, target_value, batch, cfg)
    advantage = normalize(trace.advantage, counts) if cfg.normalize_advantage else trace.advantage

    behind = (-target_log_ratio).exp()
    ratio = torch.where(behind > cfg.clip_worker, cfg.clip_worker, behind) * log_ratio.exp()
    policy_loss = clipped_surrogate(ratio, advantage, cfg.clip_range, counts)
    critic_loss = value_loss(value, trace.target, mask=counts)
    entropy = mean_over(dist.entropy(), counts)
    loss = policy_loss + cfg.vf_coef * critic_loss - cfg.ent_coef * entropy
    return loss, {
        "policy_loss": policy_loss,
        "value_loss": critic_loss,
        "entropy": entropy,
        "approx_kl": approx_kl(log_ratio, counts),
        "clip_fraction": clip_fraction(ratio, cfg.clip_range, counts),
        "explained_variance": explained_variance(value, trace.target, counts),
    }


APPO = AlgorithmSpec(
    name="appo",
    config_class=APPOConfig,
    build_model=build_model,
    act_fn=act,
    loss_fn=appo_loss,
    postprocess_fn=transitions_in_time,
    optimizer_fn=adam,
    asynchronous=True,
    target=TargetUpdate("tau", "target_update_interval", unit="env_steps"),
)
