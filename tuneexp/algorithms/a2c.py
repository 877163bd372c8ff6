"""Advantage actor-critic (A2C), the synchronous form of A3C (Mnih et al. 2016, arXiv:1602.01783)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn, optim

from tuneexp.algorithms.configs.a2c import A2CConfig
from tuneexp.algorithms.rollouts import act, advantages, build_model, entropy_of, policy_and_value
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.optimizers import optimizer_of
from tuneexp.rl.losses import explained_variance, mean_over, normalize, policy_gradient, value_loss

__all__ = ["A2C", "A2CConfig"]

ADAM_EPS = 1e-5  # of Stable-Baselines3's actor-critics; the default of torch is 1e-8


def a2c_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """Policy gradient with value loss and entropy bonus.

    Mnih et al. 2016 (arXiv:1602.01783), section 4 and algorithm S3, with GAE in place of n-step advantages.

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns [B, ...], or of sequences [L, B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Loss, 0-d, and metrics of the update, 0-d each.
    """
    dist, value = policy_and_value(nets, batch)
    counts = batch.get("mask")  # False on resets and padding; None: all rows count
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
    """RMSprop as in Stable-Baselines3, or Adam without `use_rms_prop`.

    Mnih et al. 2016 (arXiv:1602.01783), eq. 1, with epsilon outside of the root, as in torch."""
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
