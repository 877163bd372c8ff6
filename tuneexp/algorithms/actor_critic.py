"""What PPO, A2C and their kin share: rollouts, a policy that is sampled, and advantages of a value function.

Each function serves plain and recurrent networks. With a recurrent one, fragments hold `state`, `next_state` and
`start`, and minibatches are sequences, [L, B, ...], of which `mask` says which steps count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Dict
from torch import Tensor, nn

from tuneexp.errors import UserError
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.models.actor_critic import ActorCritic
from tuneexp.models.own import OwnActorCritic
from tuneexp.rl.distributions import Distribution
from tuneexp.rl.returns import gae
from tuneexp.rl.state_dependent import RescaledGaussian
from tuneexp.spaces.packing import layout


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    if cfg.action_mask is not None and cfg.normalize_observation:  # read only where it matters
        _refuse_scaled_mask(observation_space, cfg.action_mask)
    if isinstance(cfg.model, str):
        return OwnActorCritic(
            cfg.model, observation_space, action_space, owner="an actor-critic (ppo, a2c, impala, appo)",
            kwargs=cfg.model_kwargs, action_mask=cfg.action_mask,
        )  # fmt: skip
    settings = {"action_mask": cfg.action_mask, "use_sde": cfg.use_sde}
    return ActorCritic(observation_space, action_space, **settings, **cfg.model.model_dump())


def _refuse_scaled_mask(observation_space: Any, name: str) -> None:
    """Normalisation scales floating point parts of observations, after which no 0 of a mask is a 0."""
    leaves = layout(observation_space) if isinstance(observation_space, Dict) else []
    of_floats = {leaf.name for leaf in leaves if np.issubdtype(leaf.space.dtype, np.floating)}
    if name in of_floats and name.rpartition("/")[2] != "action_mask":
        raise UserError(
            f"action_mask {name!r} is a Box of floats, which normalize_observation would scale; make it MultiBinary, "
            "or leave normalize_observation off"
        )


def act(
    nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """obs: [N, ...]. Samples while exploring, else takes the mode."""
    if state is None:
        dist = nets.online.dist(obs)
    else:
        dist, _, state = nets.online.step(obs, state)
    sampled = dist.sample(noise["action"])
    action = torch.where(explore, sampled, dist.mode())
    return action, {"log_prob": dist.log_prob(sampled)}, state


def advantages(nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> dict[str, Tensor]:
    """A `postprocess_fn`: advantages and value targets, [T, S, N]. Schulman et al. 2016, eq. 16."""
    columns = {name: fragment[name] for name in ("obs", "action", "log_prob")}
    if "state" in fragment:
        # Each row has the state that it was met with, so no value depends on where a fragment or an episode ends.
        value = nets.frozen.value(fragment["obs"], fragment["state"])
        next_value = nets.frozen.value(fragment["next_obs"], fragment["next_state"])
        columns |= {"state": fragment["state"], "start": fragment["start"]}
    else:
        value, next_value = nets.frozen.value(fragment["obs"]), nets.frozen.value(fragment["next_obs"])
    advantage = gae(
        fragment["reward"], value, next_value, fragment["terminated"], fragment["truncated"],
        cfg.gamma, cfg.gae_lambda, fragment["valid"],
    )  # fmt: skip
    return {**columns, "advantage": advantage, "value": value, "value_target": advantage + value}


def entropy_of(dist: Distribution, log_prob: Tensor) -> Tensor:
    """[...]; log_prob: [...], of the actions that were taken. Behind a tanh the entropy has no closed form and is
    estimated by them, as in Stable-Baselines3."""
    return -log_prob if isinstance(dist, RescaledGaussian) else dist.entropy()


def policy_and_value(nets: Nets, batch: Mapping[str, Tensor]) -> tuple[Distribution, Tensor]:
    """The distribution of actions and the value of each row, [B], or step of a sequence, [L, B]: from the state stored
    at its first step, zeroed where an episode starts within it."""
    return policy_and_value_of(nets.online, batch)


def policy_and_value_of(net: Any, batch: Mapping[str, Tensor]) -> tuple[Distribution, Tensor]:
    """The same of `net`, which is `nets.online` or `nets.target`."""
    if "state" not in batch:
        return net.dist_and_value(batch["obs"])
    return net.unroll(batch["obs"], batch["state"][0], batch["start"])
