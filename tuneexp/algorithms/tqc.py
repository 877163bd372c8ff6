"""Truncated quantile critics (Kuznetsov et al. 2020, arXiv:2005.04269): SAC with distributional critics.

The largest quantiles of the target are dropped, which controls overestimation more finely than the minimum of two
critics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tuneexp.algorithms.configs.tqc import TQCConfig
from tuneexp.algorithms.off_policy import adam, weighted_mean
from tuneexp.algorithms.sac import (
    act_noise,
    continuous_network,
    drawn,
    entropy_weight,
    loss_noise,
    sac_act,
    temperature_part,
)
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.learning.algorithm_functions import Losses
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.target import TargetUpdate
from tuneexp.rl.distributional import quantile_huber, without_largest
from tuneexp.training.replay_ops import off_policy_step, transitions

__all__ = ["TQC", "TQCConfig"]


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    """Build the networks of one seed.

    Args:
        observation_space: A gymnasium space.
        action_space: A gymnasium space.
        cfg: Hyperparameters.

    Returns:
        Actor, quantile critics and temperature.

    Raises:
        UserError: the networks do not fit the spaces.
    """
    return continuous_network(observation_space, action_space, cfg, "tqc", n_quantiles=cfg.n_quantiles)


def tqc_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, dict[str, Tensor]]:
    """Losses of critics, actor and temperature, all from the parameters before the update.

    Kuznetsov et al. 2020 (arXiv:2005.04269). Actor and temperature are those of SAC, with the mean over all quantiles
    of all critics as value.

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns [B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Losses by part and metrics of the update, 0-d each; `priority` [B] goes to the replay buffer.
    """
    alpha = entropy_weight(nets, cfg)
    next_action, next_log_prob = nets.frozen.dist(batch["next_obs"]).sample_and_log_prob(drawn(batch, "next_noise"))
    kept = without_largest(nets.target.q(batch["next_obs"], next_action), cfg.top_quantiles_to_drop_per_net)
    target = batch["reward"][:, None] + batch["discount"][:, None] * (kept - alpha * next_log_prob[:, None])
    quantiles = nets.online.q(batch["obs"], batch["action"])  # [n_critics, B, n_quantiles]
    error = (quantile_huber(quantiles, target) / cfg.n_quantiles).sum(0)

    action, log_prob = nets.online.dist(batch["obs"]).sample_and_log_prob(drawn(batch, "action_noise"))
    # Frozen critics: no gradient of their parameters is computed. The mean of all quantiles, none dropped: only the
    # target of the critics is truncated.
    value = nets.frozen.q(batch["obs"], action).mean((0, -1))
    losses = {"critic": weighted_mean(error, batch), "actor": (alpha * log_prob - value).mean()}
    losses |= temperature_part(nets, -log_prob, -float(math.prod(action.shape[1:])), cfg)
    metrics = {"ent_coef": alpha, "entropy": -log_prob.mean(), "q_mean": target.mean()}
    return losses, {**metrics, "priority": error.detach()}


TQC = AlgorithmSpec(
    name="tqc",
    config_class=TQCConfig,
    build_model=build_model,
    act_fn=sac_act,
    loss_fn=tqc_loss,
    postprocess_fn=transitions,
    optimizer_fn=adam,
    training_step=off_policy_step,
    action_kinds=("continuous",),
    act_noise=act_noise,
    loss_noise=loss_noise,
    target=TargetUpdate("tau", "target_update_interval"),
    default_space="tqc",
)
