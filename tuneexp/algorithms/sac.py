"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), learned temperature; continuous or discrete actions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.algorithms.configs.sac import SACConfig
from tuneexp.algorithms.off_policy import adam, weighted_mean
from tuneexp.algorithms.spec import AlgorithmSpec, action_noise
from tuneexp.learning.algorithm_functions import Losses
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.target import TargetUpdate
from tuneexp.models.continuous import DiscreteSoftActorCritic, SoftActorCritic
from tuneexp.models.custom import CustomDiscreteSoftActorCritic, CustomSoftActorCritic
from tuneexp.rl.distributions import action_head
from tuneexp.rl.noise import Noise
from tuneexp.spaces.kinds import require_continuous
from tuneexp.training.replay_ops import off_policy_step, transitions

__all__ = ["SAC", "SACConfig"]

SMALLEST_ALPHA = 1e-30
EXPLORATION = ("log_std_init", "full_std", "use_expln", "clip_mean")


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    """Actor, critics and temperature of one seed. Raises `UserError` where they do not fit the spaces."""
    if action_head(action_space).kind == "continuous":
        return continuous_network(observation_space, action_space, cfg, "sac")
    if cfg.use_sde:
        require_continuous(action_space)
    settings = {"n_critics": cfg.n_critics, "initial_alpha": cfg.initial_ent_coef}
    if isinstance(cfg.model, str):
        return CustomDiscreteSoftActorCritic(
            cfg.model, observation_space, action_space, owner="sac", kwargs=cfg.model_kwargs, **settings
        )
    network = {name: value for name, value in cfg.model.model_dump().items() if name not in EXPLORATION}
    return DiscreteSoftActorCritic(observation_space, action_space, **settings, **network)


def continuous_network(
    observation_space: Any, action_space: Any, cfg: CfgView, owner: str, n_quantiles: int = 1
) -> nn.Module:
    """The built-in networks or a custom one, with `n_quantiles` outputs per critic. owner: name of the algorithm."""
    settings = {"n_critics": cfg.n_critics, "n_quantiles": n_quantiles, "initial_alpha": cfg.initial_ent_coef}
    if isinstance(cfg.model, str):
        return CustomSoftActorCritic(
            cfg.model, observation_space, action_space, owner=owner, kwargs=cfg.model_kwargs, **settings
        )
    network = cfg.model.model_dump()
    exploration = {name: network.pop(name) for name in EXPLORATION}
    settings["exploration"] = exploration if cfg.use_sde else None
    return SoftActorCritic(observation_space, action_space, **settings, **network)


def act_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    """Noise of sampled and of uniform random actions; without the latter with `use_sde_at_warmup`."""
    action = action_noise(model, action_space, cfg)
    if getattr(model, "exploration_shape", None) and cfg.use_sde_at_warmup:
        return action
    return {**action, "random": Noise("uniform", action_head(action_space).shape)}


def loss_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    """Noise of sampled actions; none for discrete ones. With use_sde: exploration weights, once per gradient step."""
    head, weights = action_head(action_space), getattr(model, "exploration_shape", None)
    if head.kind == "discrete":
        return {}
    if weights is not None:
        return {"weights": Noise("normal", weights, per="step")}
    return {"action_noise": Noise("normal", head.shape), "next_noise": Noise("normal", head.shape)}


def sac_act(
    nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """Sample actions, or take the mode; uniform random actions before `learning_starts`.

    Args:
        nets: Networks of one seed.
        obs: Observations, [N, ...].
        state: Unused.
        noise: Random numbers, by the names of `act_noise`, [N, ...].
        cfg: Hyperparameters.
        explore: False for deterministic actions, 0-d bool.

    Returns:
        Actions [N, ...], further columns of the fragment (`network_action`: actions in [-1, 1], the input of the
        critics), and the next state.
    """
    dist = nets.online.dist(obs)
    action = torch.where(explore, dist.sample(noise["action"]), dist.mode())
    if "random" in noise:
        random = nets.online.random_action(noise["random"])
        action = torch.where(explore & (cfg.env_steps < cfg.learning_starts), random, action)
    return nets.online.to_env(action), {"network_action": action}, state


def drawn(batch: Mapping[str, Tensor], name: str) -> Tensor:
    """Noise for sampling actions: column `name` of each row, or the exploration weights of all rows."""
    return batch["weights"] if "weights" in batch else batch[name]


def sac_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, dict[str, Tensor]]:
    """Losses of critics, actor and temperature, all from the parameters before the update.

    Haarnoja et al. 2018 (arXiv:1812.05905), eq. 5 (critics), 9 (actor) and 18 (temperature), with the minimum of the
    critics as in section 6; algorithm 1 updates them in turn. Discrete actions: Christodoulou 2019 (arXiv:1910.07207).

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns [B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Losses by part and metrics of the update, 0-d each; `priority` [B] goes to the replay buffer.
    """
    discrete = not batch["action"].is_floating_point()
    return (_discrete_loss if discrete else _continuous_loss)(nets, batch, cfg)


def entropy_weight(nets: Nets, cfg: CfgView) -> Tensor:
    """Entropy coefficient alpha: learned, or the hyperparameter `ent_coef`."""
    return nets.frozen.alpha() if cfg.ent_coef is None else cfg.ent_coef


def temperature_part(nets: Nets, entropy: Tensor, default_target: float, cfg: CfgView) -> dict[str, Tensor]:
    """Loss of a learned temperature; empty with a fixed `ent_coef`. entropy: of the policy, [B].

    Haarnoja et al. 2018 (arXiv:1812.05905), eq. 18, with log alpha in place of its factor alpha."""
    if cfg.ent_coef is not None:
        return {}
    target = default_target if cfg.target_entropy is None else cfg.target_entropy
    # As common implementations do. The bound prevents NaN where alpha has rounded to 0.
    log_alpha = nets.online.alpha().clamp(min=SMALLEST_ALPHA).log()
    return {"temperature": log_alpha * (entropy.detach().mean() - target)}


def _continuous_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, dict[str, Tensor]]:
    alpha = entropy_weight(nets, cfg)
    next_action, next_log_prob = nets.frozen.dist(batch["next_obs"]).sample_and_log_prob(drawn(batch, "next_noise"))
    next_value = nets.target.q(batch["next_obs"], next_action).amin(0) - alpha * next_log_prob
    target = batch["reward"] + batch["discount"] * next_value
    error = nets.online.q(batch["obs"], batch["action"]) - target  # [n_critics, B]

    action, log_prob = nets.online.dist(batch["obs"]).sample_and_log_prob(drawn(batch, "action_noise"))
    # Frozen critics: no gradient of their parameters is computed.
    actor_loss = (alpha * log_prob - nets.frozen.q(batch["obs"], action).amin(0)).mean()
    losses = {"critic": weighted_mean(0.5 * error.square().sum(0), batch), "actor": actor_loss}
    losses |= temperature_part(nets, -log_prob, -float(math.prod(action.shape[1:])), cfg)
    metrics = {"ent_coef": alpha, "entropy": -log_prob.mean(), "q_mean": target.mean()}
    return losses, {**metrics, "priority": error.detach().abs().mean(0)}


def _discrete_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Losses, dict[str, Tensor]]:
    """Exact expectations over all actions instead of samples (Christodoulou 2019, arXiv:1910.07207)."""
    alpha = entropy_weight(nets, cfg)
    next_log = nets.frozen.dist(batch["next_obs"]).log_probs
    next_value = (next_log.exp() * (nets.target.q(batch["next_obs"]).amin(0) - alpha * next_log)).sum(-1)
    target = batch["reward"] + batch["discount"] * next_value
    values = nets.online.q(batch["obs"])  # [n_critics, B, A]
    action = batch["action"].long()[None, :, None].expand(values.shape[0], -1, 1)
    error = values.gather(-1, action).squeeze(-1) - target

    log_probs = nets.online.dist(batch["obs"]).log_probs
    actor_loss = (log_probs.exp() * (alpha * log_probs - nets.frozen.q(batch["obs"]).amin(0))).sum(-1).mean()
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    losses = {"critic": weighted_mean(0.5 * error.square().sum(0), batch), "actor": actor_loss}
    losses |= temperature_part(nets, entropy, 0.98 * math.log(values.shape[-1]), cfg)
    metrics = {"ent_coef": alpha, "entropy": entropy.mean(), "q_mean": target.mean()}
    return losses, {**metrics, "priority": error.detach().abs().mean(0)}


SAC = AlgorithmSpec(
    name="sac",
    config_class=SACConfig,
    build_model=build_model,
    act_fn=sac_act,
    loss_fn=sac_loss,
    postprocess_fn=transitions,
    optimizer_fn=adam,
    training_step=off_policy_step,
    action_kinds=("continuous", "discrete"),
    act_noise=act_noise,
    loss_noise=loss_noise,
    target=TargetUpdate("tau", "target_update_interval"),
    default_space="sac",
)
