"""Deep deterministic policy gradient (Lillicrap et al. 2016, arXiv:1509.02971): deterministic actor, one critic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tuneexp.algorithms.configs.ddpg import DDPGConfig
from tuneexp.algorithms.deterministic import act, act_noise, actor_critic_losses, networks
from tuneexp.algorithms.off_policy import adam
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.learning.algorithm_functions import Losses
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.target import TargetUpdate
from tuneexp.training.replay_ops import off_policy_step, transitions

__all__ = ["DDPG", "DDPGConfig"]


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    """Build the networks of one seed.

    Args:
        observation_space: A gymnasium space.
        action_space: A gymnasium space.
        cfg: Hyperparameters.

    Returns:
        Actor and critic.

    Raises:
        UserError: the networks do not fit the spaces.
    """
    return networks(observation_space, action_space, cfg, "ddpg", n_critics=1)


def ddpg_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, dict[str, Tensor]]:
    """Losses of critic and actor.

    Lillicrap et al. 2016 (arXiv:1509.02971), eq. 4 (critic), 5 (its target, here of the target networks, as in
    algorithm 1) and 6 (gradient of the actor).

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns [B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Losses by part and metrics of the update, 0-d each; `priority` [B] goes to the replay buffer.
    """
    return actor_critic_losses(nets, batch, nets.target.act(batch["next_obs"]))


DDPG = AlgorithmSpec(
    name="ddpg",
    config_class=DDPGConfig,
    build_model=build_model,
    act_fn=act,
    loss_fn=ddpg_loss,
    postprocess_fn=transitions,
    optimizer_fn=adam,
    training_step=off_policy_step,
    action_kinds=("continuous",),
    act_noise=act_noise,
    target=TargetUpdate("tau", 1),
    default_space="ddpg",
)
