"""Common parts of TD3 and DDPG: a deterministic policy with exploration noise, and its critics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.algorithms.off_policy import weighted_mean
from tuneexp.learning.algorithm_functions import Losses
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.models.continuous import DeterministicActorCritic
from tuneexp.models.custom import CustomDeterministicActorCritic
from tuneexp.rl.distributions import action_head
from tuneexp.rl.exploration import ornstein_uhlenbeck
from tuneexp.rl.noise import Noise


def networks(observation_space: Any, action_space: Any, cfg: CfgView, owner: str, n_critics: int) -> nn.Module:
    """Build the built-in actor and critics or a custom network.

    Args:
        observation_space: A gymnasium space.
        action_space: A bounded Box.
        cfg: Hyperparameters.
        owner: Name of the algorithm, for error messages.
        n_critics: Number of critics.

    Returns:
        The networks.
    """
    made: DeterministicActorCritic | CustomDeterministicActorCritic
    if isinstance(cfg.model, str):
        made = CustomDeterministicActorCritic(
            cfg.model, observation_space, action_space, owner=owner, kwargs=cfg.model_kwargs, n_critics=n_critics
        )
    else:
        made = DeterministicActorCritic(observation_space, action_space, n_critics=n_critics, **cfg.model.model_dump())
    if cfg.noise_type == "ornstein-uhlenbeck":
        # The recurrent state is kept through episodes, zeroed at their starts and stored: it holds the process.
        made.state_size = math.prod(action_head(action_space).shape)
    return made


def act_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    """Noise of exploration and of uniform random actions."""
    shape = action_head(action_space).shape
    return {"action": Noise("normal", shape), "random": Noise("uniform", shape)}


def act(
    nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """Policy action plus noise; uniform random actions before `learning_starts`.

    Args:
        nets: Networks of one seed.
        obs: Observations, [N, ...].
        state: Ornstein-Uhlenbeck process, [N, action size]; None with normal noise.
        noise: Random numbers, by the names of `act_noise`, [N, ...].
        cfg: Hyperparameters.
        explore: False for deterministic actions, 0-d bool.

    Returns:
        Actions [N, ...], further columns of the fragment (`network_action`: actions in [-1, 1], the input of the
        critics), and the next state.
    """
    greedy = nets.online.act(obs)
    if state is None:
        perturbation = cfg.noise_std * noise["action"]
    else:
        state = ornstein_uhlenbeck(state, noise["action"].flatten(1), cfg.noise_std)
        perturbation = state.view_as(greedy)
    noisy = (greedy + perturbation).clamp(-1.0, 1.0)
    random = nets.online.random_action(noise["random"])
    explored = torch.where(cfg.env_steps < cfg.learning_starts, random, noisy)
    action = torch.where(explore, explored, greedy)
    return nets.online.to_env(action), {"network_action": action}, state


def actor_critic_losses(
    nets: Nets, batch: Mapping[str, Tensor], next_action: Tensor
) -> tuple[Losses, dict[str, Tensor]]:
    """Losses of critics and actor.

    Deterministic policy gradient: Silver et al. 2014 (ICML), eq. 9. Target with the minimum of the target critics:
    Fujimoto et al. 2018 (arXiv:1802.09477), eq. 10. The actor maximises the first critic as it was before the update;
    in algorithm 1 of that paper the critics are updated first.

    Args:
        nets: Networks of one seed.
        batch: Columns, [B, ...].
        next_action: Next actions of the target policy, [B, *action shape].

    Returns:
        Losses by part, and metrics, 0-d each; `priority` [B] goes to the replay buffer.
    """
    next_value = nets.target.q(batch["next_obs"], next_action).amin(0)
    target = batch["reward"] + batch["discount"] * next_value
    error = nets.online.q(batch["obs"], batch["action"]) - target  # [n_critics, B]

    def actor() -> Tensor:
        # Frozen critics: no gradient of their parameters is computed.
        return -nets.frozen.q(batch["obs"], nets.online.act(batch["obs"]))[0].mean()

    losses: Losses = {"critic": weighted_mean(error.square().sum(0), batch), "actor": actor}
    return losses, {"q_mean": target.mean(), "priority": error.detach().abs().mean(0)}
