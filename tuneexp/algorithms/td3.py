"""Twin delayed DDPG (Fujimoto et al. 2018, arXiv:1802.09477): DDPG with less overestimation.

Clipped double Q-learning, target policy smoothing, and delayed updates of the actor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tuneexp.algorithms.configs.td3 import TD3Config
from tuneexp.algorithms.deterministic import act, act_noise, actor_critic_losses, networks
from tuneexp.algorithms.off_policy import adam
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.learning.algorithm_functions import Losses
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.target import TargetUpdate
from tuneexp.rl.distributions import action_head
from tuneexp.rl.noise import Noise
from tuneexp.training.replay_ops import off_policy_step, transitions

__all__ = ["TD3", "TD3Config"]


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    """Build the networks of one seed.

    Args:
        observation_space: A gymnasium space.
        action_space: A gymnasium space.
        cfg: Hyperparameters.

    Returns:
        Actor and critics.

    Raises:
        UserError: the networks do not fit the spaces.
    """
    return networks(observation_space, action_space, cfg, "td3", cfg.n_critics)


def loss_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    """Noise of target policy smoothing."""
    return {"smoothing": Noise("normal", action_head(action_space).shape)}


def smoothed(action: Tensor, noise: Tensor, cfg: CfgView) -> Tensor:
    """Target policy smoothing: clipped noise on the target action.

    Fujimoto et al. 2018 (arXiv:1802.09477), eq. 14. The sum is clipped to the bounds of the actions, too, which the
    equation does not state.

    Args:
        action: In [-1, 1], [B, *action shape].
        noise: Standard normal, [B, *action shape].
        cfg: Hyperparameters.

    Returns:
        Actions in [-1, 1], [B, *action shape].
    """
    bound = cfg.target_noise_clip
    return (action + (cfg.target_policy_noise * noise).clamp(-bound, bound)).clamp(-1.0, 1.0)


def td3_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, dict[str, Tensor]]:
    """Losses of critics and actor.

    Fujimoto et al. 2018 (arXiv:1802.09477), eq. 15 and algorithm 1.

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns [B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Losses by part and metrics of the update, 0-d each; `priority` [B] goes to the replay buffer.
    """
    return actor_critic_losses(nets, batch, smoothed(nets.target.act(batch["next_obs"]), batch["smoothing"], cfg))


TD3 = AlgorithmSpec(
    name="td3",
    config_class=TD3Config,
    build_model=build_model,
    act_fn=act,
    loss_fn=td3_loss,
    postprocess_fn=transitions,
    optimizer_fn=adam,
    training_step=off_policy_step,
    action_kinds=("continuous",),
    act_noise=act_noise,
    loss_noise=loss_noise,
    update_period={"actor": "policy_delay"},
    target=TargetUpdate("tau", "policy_delay"),
    default_space="td3",
)
