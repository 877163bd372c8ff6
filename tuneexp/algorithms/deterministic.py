"""What TD3 and DDPG share: a deterministic policy that climbs its critics, and explores by noise on its actions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.algorithms.off_policy import weighted_mean
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.interfaces import Losses
from tuneexp.learning.nets import Nets
from tuneexp.learning.noise import Noise
from tuneexp.models.continuous import DeterministicActorCritic
from tuneexp.models.own import OwnDeterministicActorCritic
from tuneexp.rl.distributions import action_head
from tuneexp.rl.exploration import ornstein_uhlenbeck


def networks(observation_space: Any, action_space: Any, cfg: CfgView, owner: str, n_critics: int) -> nn.Module:
    """The built-in networks or the user's own. owner: the algorithm's name."""
    made: DeterministicActorCritic | OwnDeterministicActorCritic
    if isinstance(cfg.model, str):
        made = OwnDeterministicActorCritic(
            cfg.model, observation_space, action_space, owner=owner, kwargs=cfg.model_kwargs, n_critics=n_critics
        )
    else:
        made = DeterministicActorCritic(observation_space, action_space, n_critics=n_critics, **cfg.model.model_dump())
    if cfg.noise_type == "ornstein-uhlenbeck":
        # The state of a policy is carried through episodes, zeroed at their starts and stored: so is the process.
        made.state_size = math.prod(action_head(action_space).shape)
    return made


def act_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    shape = action_head(action_space).shape
    return {"action": Noise("normal", shape), "random": Noise("uniform", shape)}


def act(
    nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """obs: [N, ...]. Uniform actions until learning starts, then the policy's with noise; `network_action` is what the
    critics are asked about. state: [N, numbers of an action], the Ornstein-Uhlenbeck process; None without one."""
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
    """batch: columns [B, ...]; next_action: [B, *action shape], what the lagging policy does next. Silver et al. 2014,
    eq. 9 (actor), against the least of the lagging critics (Fujimoto et al. 2018, eq. 10).

    The actor is improved against the first critic as it was before the step, not as the step leaves it."""
    next_value = nets.target.q(batch["next_obs"], next_action).amin(0)
    target = batch["reward"] + batch["discount"] * next_value
    error = nets.online.q(batch["obs"], batch["action"]) - target  # [n_critics, B]

    def actor() -> Tensor:
        # The frozen critics: no gradient of theirs is computed on the way to the actor.
        return -nets.frozen.q(batch["obs"], nets.online.act(batch["obs"]))[0].mean()

    losses: Losses = {"critic": weighted_mean(error.square().sum(0), batch), "actor": actor}
    return losses, {"q_mean": target.mean(), "priority": error.detach().abs().mean(0)}
