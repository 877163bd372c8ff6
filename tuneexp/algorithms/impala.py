"""IMPALA (Espeholt et al. 2018, arXiv:1802.01561): actor-critic with V-trace and asynchronous env runners."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tuneexp.algorithms.configs.impala import IMPALAConfig
from tuneexp.algorithms.ppo import adam
from tuneexp.algorithms.rollouts import act, build_model, entropy_of, policy_and_value
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.algorithms.vtrace_actor_critic import vtrace_columns, vtrace_of
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.rl.losses import approx_kl, explained_variance, mean_over, policy_gradient, value_loss
from tuneexp.training.training_ops import asynchronous_step

__all__ = ["IMPALA", "IMPALAConfig"]


def impala_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """Policy gradient, value loss and entropy bonus with V-trace targets.

    Espeholt et al. 2018 (arXiv:1802.01561), section 4.2, averaged over steps instead of summed.

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns of sequences, [L, B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Loss, 0-d, and metrics of the update, 0-d each.
    """
    dist, value = policy_and_value(nets, batch)
    counts = batch["mask"]
    log_prob = dist.log_prob(batch["action"])
    log_ratio = (log_prob - batch["log_prob"]).detach()
    trace = vtrace_of(nets.frozen, log_ratio, value, batch, cfg)

    policy_loss = policy_gradient(log_prob, trace.advantage, counts)
    critic_loss = value_loss(value, trace.target, mask=counts)
    entropy = mean_over(entropy_of(dist, log_prob), counts)
    loss = policy_loss + cfg.vf_coef * critic_loss - cfg.ent_coef * entropy
    return loss, {
        "policy_loss": policy_loss,
        "value_loss": critic_loss,
        "entropy": entropy,
        "approx_kl": approx_kl(log_ratio, counts),
        "explained_variance": explained_variance(value, trace.target, counts),
    }


IMPALA = AlgorithmSpec(
    name="impala",
    config_class=IMPALAConfig,
    build_model=build_model,
    act_fn=act,
    loss_fn=impala_loss,
    postprocess_fn=vtrace_columns,
    optimizer_fn=adam,
    training_step=asynchronous_step,
    asynchronous=True,
    default_space="impala",
)
