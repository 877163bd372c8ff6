"""Advantage actor-critic (Mnih et al. 2016, synchronous): one step up the policy gradient for each short rollout."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn, optim

from tuneexp.algorithms.actor_critic import act, advantages, build_model, entropy_of, policy_and_value
from tuneexp.algorithms.configs.a2c import A2CConfig
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.optimizers import optimizer_of
from tuneexp.rl.losses import explained_variance, mean_over, normalize, policy_gradient, value_loss

__all__ = ["A2C", "A2CConfig"]

ADAM_EPS = 1e-5  # of Stable-Baselines3's actor-critics; torch's own default is 1e-8


def a2c_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """batch: columns [B, ...], or sequences [L, B, ...]. Section 4 of the paper and its algorithm S3, with generalised
    advantages."""
    dist, value = policy_and_value(nets, batch)
    counts = batch.get("mask")  # rows, or steps of sequences, that are neither resets nor padding; None: all count
    advantage = normalize(batch["advantage"], counts) if cfg.normalize_advantage else batch["advantage"]

    log_prob = dist.log_prob(batch["action"])
    policy_loss = policy_gradient(log_prob, advantage, counts)
    critic_loss = value_loss(value, batch["value_target"], mask=counts)
    entropy = mean_over(entropy_of(dist, log_prob), counts)
    loss = policy_loss + cfg.vf_coef * critic_loss - cfg.ent_coef * entropy
    return loss, {
        "policy_loss": policy_loss,
        "value_loss": critic_loss,
        "entropy": entropy,
        "explained_variance": explained_variance(batch["value"], batch["value_target"], counts),
    }


def optimizer(named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    if cfg.use_rms_prop:
        return optimizer_of(named_parameters, cfg, "RMSprop", alpha=0.99, eps=cfg.rms_prop_eps)
    return optimizer_of(named_parameters, cfg, eps=ADAM_EPS)


A2C = AlgorithmSpec(
    name="a2c",
    config_class=A2CConfig,
    build_model=build_model,
    act_fn=act,
    loss_fn=a2c_loss,
    postprocess_fn=advantages,
    optimizer_fn=optimizer,
    default_space="a2c",
)
