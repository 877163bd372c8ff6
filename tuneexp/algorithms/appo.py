"""Asynchronous PPO: clipped surrogate with V-trace and a target network (IMPACT; Luo et al. 2020, arXiv:1912.00167)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tuneexp.algorithms.configs.appo import APPOConfig
from tuneexp.algorithms.ppo import adam
from tuneexp.algorithms.rollouts import act, build_model, entropy_of, policy_and_value, policy_and_value_of
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.algorithms.vtrace_actor_critic import vtrace_columns, vtrace_of
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
from tuneexp.training.training_ops import asynchronous_step

__all__ = ["APPO", "APPOConfig"]


def appo_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """IMPACT's objective, negated, with value loss and entropy bonus.

    Luo et al. 2020 (arXiv:1912.00167). The probability ratio is that of the policy to the target network's policy; the
    factor by which the behaviour policy lags behind the target network is clipped by `clip_worker`. V-trace evaluates
    the target network's policy with its values. If the target network is the behaviour policy, this is PPO.

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns of sequences, [L, B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Loss, 0-d, and metrics of the update, 0-d each.
    """
    dist, value = policy_and_value(nets, batch)
    target_dist, target_value = policy_and_value_of(nets.target, batch)
    counts = batch["mask"]
    log_prob = dist.log_prob(batch["action"])
    log_ratio = log_prob - batch["log_prob"]  # to the behaviour policy
    target_log_ratio = target_dist.log_prob(batch["action"]) - batch["log_prob"]
    trace = vtrace_of(nets.target, target_log_ratio, target_value, batch, cfg)
    advantage = normalize(trace.advantage, counts) if cfg.normalize_advantage else trace.advantage

    lag = (-target_log_ratio).exp()  # behaviour policy to target network's policy
    ratio = torch.where(lag > cfg.clip_worker, cfg.clip_worker, lag) * log_ratio.exp()
    policy_loss = clipped_surrogate(ratio, advantage, cfg.clip_range, counts)
    critic_loss = value_loss(value, trace.target, mask=counts)
    entropy = mean_over(entropy_of(dist, log_prob), counts)
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
    postprocess_fn=vtrace_columns,
    optimizer_fn=adam,
    training_step=asynchronous_step,
    asynchronous=True,
    target=TargetUpdate("tau", "target_update_interval", unit="env_steps"),
    default_space="appo",
)
