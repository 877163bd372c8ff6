"""Quantile regression DQN (Dabney et al. 2018, arXiv:1710.10044): learns quantiles of the return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn, optim

from tuneexp.algorithms.configs.qrdqn import QRDQNConfig
from tuneexp.algorithms.dqn import act_noise, choose, chosen, loss_noise, next_output, q_network
from tuneexp.algorithms.off_policy import weighted_mean
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.optimizers import optimizer_of
from tuneexp.learning.target import TargetUpdate
from tuneexp.rl.distributional import quantile_huber
from tuneexp.training.replay_ops import off_policy_step, transitions

__all__ = ["QRDQN", "QRDQNConfig"]


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    """Build the networks of one seed.

    Args:
        observation_space: A gymnasium space.
        action_space: A gymnasium space.
        cfg: Hyperparameters.

    Returns:
        The Q-network, with `n_quantiles` outputs per action.

    Raises:
        UserError: the networks do not fit the spaces.
    """
    return q_network(observation_space, action_space, cfg, "qrdqn", cfg.n_quantiles)


def expectation(quantiles: Tensor, cfg: CfgView) -> Tensor:
    """Expected return: the mean over quantiles.

    Args:
        quantiles: [B, A, n].
        cfg: Unused.

    Returns:
        Q-values, [B, A].
    """
    return quantiles.mean(-1)


def qrdqn_act(
    nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """Epsilon-greedy actions by the mean of the quantiles.

    Args:
        nets: Networks of one seed.
        obs: Observations, [N, ...].
        state: Unused.
        noise: Random numbers, by the names of `act_noise`, [N, ...].
        cfg: Hyperparameters.
        explore: False for deterministic actions, 0-d bool.

    Returns:
        Actions [N, ...], further columns of the fragment (none), and the next state.
    """
    values = expectation(nets.online.q(obs, noise.get("weights")), cfg)
    return choose(values, noise, cfg, explore), {}, state


def qrdqn_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """Quantile Huber loss with kappa 1.

    Dabney et al. 2018 (arXiv:1710.10044), eq. 10.

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns [B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Loss, 0-d, and metrics of the update, 0-d each; `priority` [B] goes to the replay buffer.
    """
    quantiles = chosen(nets.online.q(batch["obs"], batch.get("online_weights")), batch["action"])
    following = next_output(nets, batch, cfg, expectation)
    error = quantile_huber(quantiles, batch["reward"][:, None] + batch["discount"][:, None] * following)
    return weighted_mean(error, batch), {"q_mean": quantiles.mean(), "priority": error.detach()}


def optimizer(named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    """Adam with epsilon 0.01 / batch_size, as in Dabney et al. 2018 (arXiv:1710.10044) and sb3_contrib."""
    return optimizer_of(named_parameters, cfg, eps=0.01 / cfg.batch_size)


QRDQN = AlgorithmSpec(
    name="qrdqn",
    config_class=QRDQNConfig,
    build_model=build_model,
    act_fn=qrdqn_act,
    loss_fn=qrdqn_loss,
    postprocess_fn=transitions,
    optimizer_fn=optimizer,
    training_step=off_policy_step,
    action_kinds=("discrete",),
    act_noise=act_noise,
    loss_noise=loss_noise,
    target=TargetUpdate("tau", "target_update_interval", unit="env_steps"),
    default_space="qrdqn",
)
