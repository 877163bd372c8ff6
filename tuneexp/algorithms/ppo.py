"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347): a clipped surrogate objective with GAE."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn, optim

from tuneexp.algorithms.configs.ppo import PPOConfig
from tuneexp.algorithms.rollouts import act, advantages, build_model, entropy_of, policy_and_value
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.optimizers import optimizer_of
from tuneexp.rl.losses import (
    approx_kl,
    clip_fraction,
    clipped_surrogate,
    explained_variance,
    mean_over,
    normalize,
    value_loss,
)

__all__ = ["PPO", "PPOConfig"]

ADAM_EPS = 1e-5  # of published PPO implementations; the default of torch is 1e-8


def ppo_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """PPO's combined objective, negated.

    Schulman et al. 2017 (arXiv:1707.06347), eq. 9. Value clipping, normalised advantages and early stopping by KL
    divergence are those of Stable-Baselines3.

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns [B, ...], or of sequences [L, B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Loss, 0-d, and metrics of the update, 0-d each; `skip_update` above 0 stops the updates on this rollout.
    """
    dist, value = policy_and_value(nets, batch)
    counts = batch.get("mask")  # False on resets and padding; None: all rows count
    log_prob = dist.log_prob(batch["action"])
    log_ratio = log_prob - batch["log_prob"]
    ratio = log_ratio.exp()
    advantage = normalize(batch["advantage"], counts) if cfg.normalize_advantage else batch["advantage"]

    policy_loss = clipped_surrogate(ratio, advantage, cfg.clip_range, counts)
    critic_loss = value_loss(value, batch["value_target"], batch["value"], cfg.clip_range_vf, counts)
    entropy = mean_over(entropy_of(dist, log_prob), counts)
    loss = policy_loss + cfg.vf_coef * critic_loss - cfg.ent_coef * entropy

    kl = approx_kl(log_ratio, counts)
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": critic_loss,
        "entropy": entropy,
        "approx_kl": kl,
        "clip_fraction": clip_fraction(ratio, cfg.clip_range, counts),
        "explained_variance": explained_variance(batch["value"], batch["value_target"], counts),
    }
    if cfg.target_kl is not None:
        # A number, not a bool: the mean over data-parallel learners is the value of the whole minibatch.
        metrics["skip_update"] = kl - 1.5 * cfg.target_kl
    return loss, metrics


def adam(named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    """Adam with epsilon 1e-5, unless `optimizer_class` names another optimizer."""
    return optimizer_of(named_parameters, cfg, eps=ADAM_EPS)


PPO = AlgorithmSpec(
    name="ppo",
    config_class=PPOConfig,
    build_model=build_model,
    act_fn=act,
    loss_fn=ppo_loss,
    postprocess_fn=advantages,
    optimizer_fn=adam,
    default_space="ppo",
)
