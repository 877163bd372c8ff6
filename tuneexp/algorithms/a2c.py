"""Advantage actor-critic (Mnih et al. 2016, synchronous): one step up the policy gradient for each short rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import model_validator
from torch import Tensor, nn, optim

from tuneexp.algorithms.actor_critic import OnPolicyConfig, act, advantages, build_model, policy_and_value
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.config import numeric, structural
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.rl.losses import explained_variance, mean_over, normalize, policy_gradient, value_loss
from tuneexp.rl.schedules import PositiveScheduledFloat

ADAM_EPS = 1e-5  # of Stable-Baselines3's actor-critics; torch's own default is 1e-8


class A2CConfig(OnPolicyConfig):
    """Defaults are those of Stable-Baselines3, for eight environments."""

    learning_rate: PositiveScheduledFloat = numeric(7e-4, "Step size of the optimizer; a number or linear:0.001.")
    n_steps: int = structural(5, "Steps per environment in one rollout.", ge=1)
    gae_lambda: float = numeric(1.0, "Weight of longer returns in the advantage: 0 one step, 1 all.", ge=0.0, le=1.0)
    ent_coef: float = numeric(0.0, "Weight of the entropy bonus.", ge=0.0)
    vf_coef: float = numeric(0.5, "Weight of the value loss.", ge=0.0)
    max_grad_norm: float | None = numeric(0.5, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)
    use_rms_prop: bool = structural(True, "RMSprop as in the paper; false: Adam.")
    rms_prop_eps: float = numeric(1e-5, "What RMSprop adds to the root of the mean square.", gt=0.0)
    normalize_advantage: bool = structural(False, "Scale advantages to mean 0, deviation 1 in each rollout.")

    n_epochs: ClassVar[int] = 1  # each rollout is used once, whole

    @model_validator(mode="after")
    def _two_rows(self) -> Self:
        if self.rollout_rows() < 2:
            raise ValueError("n_envs * n_steps is 1, one row a rollout; write n_steps=5 or n_envs=8: 2 rows at least")
        return self

    def minibatch_rows(self) -> int:
        return self.in_sequences(self.rollout_rows())


def a2c_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """batch: columns [B, ...], or sequences [L, B, ...]. Section 4 of the paper and its algorithm S3, with generalised
    advantages."""
    dist, value = policy_and_value(nets, batch)
    counts = batch.get("mask")  # rows, or steps of sequences, that are neither resets nor padding; None: all count
    advantage = normalize(batch["advantage"], counts) if cfg.normalize_advantage else batch["advantage"]

    policy_loss = policy_gradient(dist.log_prob(batch["action"]), advantage, counts)
    critic_loss = value_loss(value, batch["value_target"], mask=counts)
    entropy = mean_over(dist.entropy(), counts)
    loss = policy_loss + cfg.vf_coef * critic_loss - cfg.ent_coef * entropy
    return loss, {
        "policy_loss": policy_loss,
        "value_loss": critic_loss,
        "entropy": entropy,
        "explained_variance": explained_variance(batch["value"], batch["value_target"], counts),
    }


def optimizer(named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    if cfg.use_rms_prop:
        return optim.RMSprop(named_parameters.values(), lr=cfg.learning_rate, alpha=0.99, eps=cfg.rms_prop_eps)
    return optim.Adam(named_parameters.values(), lr=cfg.learning_rate, eps=ADAM_EPS, fused=True)


A2C = AlgorithmSpec(
    name="a2c",
    config_class=A2CConfig,
    build_model=build_model,
    act_fn=act,
    loss_fn=a2c_loss,
    postprocess_fn=advantages,
    optimizer_fn=optimizer,
)
