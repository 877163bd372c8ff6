"""What PPO and A2C share: a policy that is sampled, and generalised advantages of a value function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.models.actor_critic import ActorCritic
from tuneexp.rl.returns import gae


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    return ActorCritic(observation_space, action_space, **cfg.model.model_dump())


def act(
    nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """obs: [N, ...]. Samples while exploring, else takes the mode."""
    dist = nets.online.dist(obs)
    sampled = dist.sample(noise["action"])
    action = torch.where(explore, sampled, dist.mode())
    return action, {"log_prob": dist.log_prob(sampled)}, state


def advantages(nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> dict[str, Tensor]:
    """A `postprocess_fn`: advantages and value targets, [T, S, N]. Schulman et al. 2016, eq. 16."""
    value = nets.frozen.value(fragment["obs"])
    next_value = nets.frozen.value(fragment["next_obs"])
    advantage = gae(
        fragment["reward"], value, next_value, fragment["terminated"], fragment["truncated"],
        cfg.gamma, cfg.gae_lambda, fragment["valid"],
    )  # fmt: skip
    return {
        "obs": fragment["obs"],
        "action": fragment["action"],
        "log_prob": fragment["log_prob"],
        "advantage": advantage,
        "value": value,
        "value_target": advantage + value,
    }
