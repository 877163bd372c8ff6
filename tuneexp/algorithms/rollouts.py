"""Common parts of PPO, A2C, IMPALA and APPO: networks, acting, and advantages from rollouts.

Each function supports plain and recurrent networks. With a recurrent one, fragments hold `state`, `next_state` and
`start`, and minibatches are sequences [L, B, ...] with a `mask` of the steps that count.
"""

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
from tuneexp.models.custom import CustomActorCritic
from tuneexp.rl.distributions import Distribution
from tuneexp.rl.returns import gae
from tuneexp.rl.state_dependent import RescaledGaussian
from tuneexp.spaces.packing import layout


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    """Build the networks of one seed.

    Args:
        observation_space: A gymnasium space.
        action_space: A gymnasium space.
        cfg: Hyperparameters.

    Returns:
        An `ActorCritic`, or the custom network.

    Raises:
        UserError: the networks do not fit the spaces.
    """
    if cfg.action_mask is not None and cfg.normalize_observation:  # read only where it matters
        _refuse_scaled_mask(observation_space, cfg.action_mask)
    if isinstance(cfg.model, str):
        return CustomActorCritic(
            cfg.model, observation_space, action_space, owner="an actor-critic (ppo, a2c, impala, appo)",
            kwargs=cfg.model_kwargs, action_mask=cfg.action_mask,
        )  # fmt: skip
    settings = {"action_mask": cfg.action_mask, "use_sde": cfg.use_sde}
    return ActorCritic(observation_space, action_space, **settings, **cfg.model.model_dump())


def _refuse_scaled_mask(observation_space: Any, name: str) -> None:
    """Refuse a floating point mask with normalisation, after which a 0 of the mask is not 0."""
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
    """Sample actions, or take the mode if not exploring.

    Args:
        nets: Networks of one seed.
        obs: Observations, [N, ...].
        state: Recurrent state, [N, state_size]; None without recurrence.
        noise: Random numbers, by the names of `act_noise`, [N, ...].
        cfg: Hyperparameters.
        explore: False for deterministic actions, 0-d bool.

    Returns:
        Actions [N, ...], further columns of the fragment (`log_prob` [N] of the sampled action), and the next state.
    """
    if state is None:
        dist = nets.online.dist(obs)
    else:
        dist, _, state = nets.online.step(obs, state)
    sampled = dist.sample(noise["action"])
    action = torch.where(explore, sampled, dist.mode())
    return action, {"log_prob": dist.log_prob(sampled)}, state


def advantages(nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> dict[str, Tensor]:
    """A `postprocess_fn`: GAE advantages and value targets.

    Schulman et al. 2016 (arXiv:1506.02438), eq. 16.

    Args:
        nets: Networks of all seeds.
        fragment: Columns, [T, S, N, ...].
        cfg: Hyperparameters.

    Returns:
        Training columns, [T, S, N, ...].
    """
    columns = {name: fragment[name] for name in ("obs", "action", "log_prob")}
    if "state" in fragment:
        # Each row has its recurrent state, so values do not depend on the ends of fragments and episodes.
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
    """Entropy of a policy; behind a tanh it has no closed form and is estimated by -log_prob, as in Stable-Baselines3.

    Args:
        dist: The policy.
        log_prob: Log probability of the sampled actions, [...].

    Returns:
        Entropy in nats, [...].
    """
    return -log_prob if isinstance(dist, RescaledGaussian) else dist.entropy()


def policy_and_value(nets: Nets, batch: Mapping[str, Tensor]) -> tuple[Distribution, Tensor]:
    """Distribution of actions and value of each row, or of each step of a sequence.

    A recurrent network starts from the state stored at the first step, which is reset to zero where an episode starts
    within the sequence.

    Args:
        nets: Networks of one seed.
        batch: Columns [B, ...], or sequences [L, B, ...] with `state` and `start`.

    Returns:
        The distribution, and the value [B] or [L, B].
    """
    return policy_and_value_of(nets.online, batch)


def policy_and_value_of(net: Any, batch: Mapping[str, Tensor]) -> tuple[Distribution, Tensor]:
    """Action distribution and value of each row, or of each step of a sequence.

    A recurrent network is unrolled from the stored state of the first step; the state is zeroed at the start of an
    episode.

    Args:
        net: `nets.online` or `nets.target`.
        batch: Columns [B, ...], or of sequences [L, B, ...].

    Returns:
        Distribution and values, [B] or [L, B].
    """
    if "state" not in batch:
        return net.dist_and_value(batch["obs"])
    return net.unroll(batch["obs"], batch["state"][0], batch["start"])
