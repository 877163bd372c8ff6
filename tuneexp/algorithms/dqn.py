"""Deep Q-learning (Mnih et al. 2015) with the improvements that Rainbow (Hessel et al. 2018) put together.

Each is a switch; all on is Rainbow: double, dueling, n_step=3, prioritized, noisy, distributional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from tuneexp.algorithms.configs.dqn import DQNConfig
from tuneexp.algorithms.off_policy import adam, weighted_mean
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.errors import UserError
from tuneexp.execution.replay_ops import off_policy_step, transitions
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.noise import Noise
from tuneexp.learning.target import TargetUpdate
from tuneexp.models.own import OwnQNetwork
from tuneexp.models.q_network import QNetwork
from tuneexp.rl.distributional import atoms_between, project
from tuneexp.rl.exploration import epsilon_greedy, linear_epsilon

__all__ = ["DQN", "DQNConfig"]


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    return q_network(observation_space, action_space, cfg, "dqn", cfg.n_atoms if cfg.distributional else 1)


def q_network(observation_space: Any, action_space: Any, cfg: CfgView, owner: str, atoms: int) -> nn.Module:
    """The built-in network or the user's own, with `atoms` numbers for each action. owner: the algorithm's name."""
    if not isinstance(cfg.model, str):
        network = cfg.model.model_dump()
        return QNetwork(observation_space, action_space, dueling=cfg.dueling, noisy=cfg.noisy, atoms=atoms, **network)
    if cfg.dueling or cfg.noisy:
        raise UserError(
            f"{owner}: dueling and noisy shape the built-in network; {cfg.model} is as it is: leave them out"
        )
    return OwnQNetwork(cfg.model, observation_space, action_space, owner=owner, kwargs=cfg.model_kwargs, atoms=atoms)


def action_values(output: Tensor, cfg: CfgView) -> Tensor:
    """output of the network: [B, A], or logits [B, A, atoms]. Returns [B, A]."""
    if not cfg.distributional:
        return output
    return (output.softmax(-1) * atoms_between(cfg.v_min, cfg.v_max, cfg.n_atoms, output)).sum(-1)


def choose(values: Tensor, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor) -> Tensor:
    """values: [N, A]. Random actions until learning starts, then a share that falls; none with noisy weights."""
    share = linear_epsilon(
        cfg.progress, cfg.exploration_fraction, cfg.exploration_initial_eps, cfg.exploration_final_eps
    )
    share = torch.zeros_like(share) if cfg.noisy else share
    share = torch.where(cfg.env_steps < cfg.learning_starts, torch.ones_like(share), share)
    return epsilon_greedy(values.argmax(-1), noise["explore"], share * explore, values.shape[-1])


def dqn_act(
    nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """obs: [N, ...]."""
    values = action_values(nets.online.q(obs, noise.get("weights")), cfg)
    return choose(values, noise, cfg, explore), {}, state


def act_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    return {"explore": Noise("uniform", (2,)), **weight_noise(model, "weights")}


def weight_noise(model: nn.Module, *names: str) -> dict[str, Noise]:
    """One draw of a noisy network's factors for each name and step; none for other networks."""
    size = getattr(model, "noise_size", 0)
    return {name: Noise("normal", (size,), per="step") for name in names} if size else {}


def loss_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    # Separate draws, as Fortunato et al. 2018, section 3.1, have it.
    return weight_noise(model, "online_weights", "next_weights", "target_weights")


def chosen(output: Tensor, action: Tensor) -> Tensor:
    """output: [B, A, ...]; action: int64 [B]. Returns [B, ...]: what belongs to the action."""
    index = action.long().view(-1, *(1,) * (output.dim() - 1)).expand(-1, 1, *output.shape[2:])
    return output.gather(1, index).squeeze(1)


def next_output(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView, values_of: Any) -> Tensor:
    """What the target network says of the best next action: [B], or [B, atoms]. values_of: output, cfg -> [B, A]."""
    output = nets.target.q(batch["next_obs"], batch.get("target_weights"))
    choosing = nets.frozen.q(batch["next_obs"], batch.get("next_weights")) if cfg.double else output
    return chosen(output, values_of(choosing, cfg).argmax(-1))


def dqn_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """batch: columns [B, ...]. Mnih et al. 2015, eq. 2; distributional: Bellemare et al. 2017, algorithm 1."""
    output = chosen(nets.online.q(batch["obs"], batch.get("online_weights")), batch["action"])
    following = next_output(nets, batch, cfg, action_values)
    if cfg.distributional:
        atoms = atoms_between(cfg.v_min, cfg.v_max, cfg.n_atoms, output)
        moved = batch["reward"][:, None] + batch["discount"][:, None] * atoms
        mass = project(moved, following.softmax(-1), atoms)
        error = -(mass * output.log_softmax(-1)).sum(-1)
        value = (output.softmax(-1) * atoms).sum(-1)
        # The divergence from the target, not the cross entropy: a target that is spread out is no error.
        priority = (error.detach() - torch.special.entr(mass).sum(-1)).clamp(min=0.0)
    else:
        target = batch["reward"] + batch["discount"] * following
        error = smooth_l1_loss(output, target, reduction="none")
        value, priority = output, (output - target).detach().abs()
    return weighted_mean(error, batch), {"q_mean": value.mean(), "priority": priority}


DQN = AlgorithmSpec(
    name="dqn",
    config_class=DQNConfig,
    build_model=build_model,
    act_fn=dqn_act,
    loss_fn=dqn_loss,
    postprocess_fn=transitions,
    optimizer_fn=adam,
    training_step=off_policy_step,
    action_kinds=("discrete",),
    act_noise=act_noise,
    loss_noise=loss_noise,
    target=TargetUpdate("tau", "target_update_interval", unit="env_steps"),
    default_space="dqn",
)
