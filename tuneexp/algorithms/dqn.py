"""Deep Q-learning (Mnih et al. 2015, doi:10.1038/nature14236), with the extensions of Rainbow as options.

Rainbow (Hessel et al. 2018, arXiv:1710.02298) is double, dueling, n_step=3, prioritized, noisy and distributional.
"""

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
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.learning.target import TargetUpdate
from tuneexp.models.custom import CustomQNetwork
from tuneexp.models.q_network import QNetwork
from tuneexp.rl.distributional import atoms_between, project
from tuneexp.rl.exploration import epsilon_greedy, linear_epsilon
from tuneexp.rl.noise import Noise
from tuneexp.training.replay_ops import off_policy_step, transitions

__all__ = ["DQN", "DQNConfig"]


def build_model(observation_space: Any, action_space: Any, cfg: CfgView) -> nn.Module:
    """Q-network of one seed, with `n_atoms` logits per action if distributional."""
    return q_network(observation_space, action_space, cfg, "dqn", cfg.n_atoms if cfg.distributional else 1)


def q_network(observation_space: Any, action_space: Any, cfg: CfgView, owner: str, atoms: int) -> nn.Module:
    """Built-in or custom Q-network with `atoms` outputs per action. owner: the algorithm's name. Raises `UserError`."""
    if not isinstance(cfg.model, str):
        network = cfg.model.model_dump()
        return QNetwork(observation_space, action_space, dueling=cfg.dueling, noisy=cfg.noisy, atoms=atoms, **network)
    if cfg.dueling or cfg.noisy:
        raise UserError(
            f"{owner}: dueling and noisy shape the built-in network; {cfg.model} is as it is: leave them out"
        )
    return CustomQNetwork(cfg.model, observation_space, action_space, owner=owner, kwargs=cfg.model_kwargs, atoms=atoms)


def action_values(output: Tensor, cfg: CfgView) -> Tensor:
    """Expected return of each action, [B, A]. output: Q-values [B, A], or logits [B, A, atoms] if distributional."""
    if not cfg.distributional:
        return output
    return (output.softmax(-1) * atoms_between(cfg.v_min, cfg.v_max, cfg.n_atoms, output)).sum(-1)


def choose(values: Tensor, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor) -> Tensor:
    """Epsilon-greedy actions: random ones before `learning_starts`, then with the annealed epsilon (0 with noisy
    networks).

    Args:
        values: Q-values, [N, A].
        noise: `explore`, uniform in [0, 1), [N, 2].
        cfg: Hyperparameters.
        explore: False for greedy actions, 0-d bool.

    Returns:
        Actions, int64 [N].
    """
    epsilon = linear_epsilon(
        cfg.progress, cfg.exploration_fraction, cfg.exploration_initial_eps, cfg.exploration_final_eps
    )
    epsilon = torch.zeros_like(epsilon) if cfg.noisy else epsilon
    epsilon = torch.where(cfg.env_steps < cfg.learning_starts, torch.ones_like(epsilon), epsilon)
    return epsilon_greedy(values.argmax(-1), noise["explore"], epsilon * explore, values.shape[-1])


def dqn_act(
    nets: Nets, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: CfgView, explore: Tensor
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """Epsilon-greedy actions of the Q-network. obs: [N, ...]; returns int64 [N]."""
    values = action_values(nets.online.q(obs, noise.get("weights")), cfg)
    return choose(values, noise, cfg, explore), {}, state


def act_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    """Noise of epsilon-greedy and of noisy networks."""
    return {"explore": Noise("uniform", (2,)), **weight_noise(model, "weights")}


def weight_noise(model: nn.Module, *names: str) -> dict[str, Noise]:
    """One noise vector per name and step for noisy networks; empty for others."""
    size = getattr(model, "noise_size", 0)
    return {name: Noise("normal", (size,), per="step") for name in names} if size else {}


def loss_noise(model: nn.Module, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    """Independent noise of the online, action-selecting and target network."""
    # Independent samples, as in Fortunato et al. 2018 (arXiv:1706.10295).
    return weight_noise(model, "online_weights", "next_weights", "target_weights")


def chosen(output: Tensor, action: Tensor) -> Tensor:
    """Select the output of the taken action.

    Args:
        output: Network output, [B, A, ...].
        action: int64 [B].

    Returns:
        [B, ...].
    """
    index = action.long().view(-1, *(1,) * (output.dim() - 1)).expand(-1, 1, *output.shape[2:])
    return output.gather(1, index).squeeze(1)


def next_output(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView, values_of: Any) -> Tensor:
    """Target network's output of the best next action, which the online network selects with `double`.

    Double Q-learning: van Hasselt et al. 2016 (arXiv:1509.06461), section "Double DQN".

    Args:
        nets: Networks of one seed.
        batch: Columns, [B, ...].
        cfg: Hyperparameters.
        values_of: Function (output, cfg) -> Q-values [B, A].

    Returns:
        [B], or [B, atoms].
    """
    output = nets.target.q(batch["next_obs"], batch.get("target_weights"))
    choosing = nets.frozen.q(batch["next_obs"], batch.get("next_weights")) if cfg.double else output
    return chosen(output, values_of(choosing, cfg).argmax(-1))


def dqn_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """Huber loss of the TD error, or cross entropy of the projected C51 target.

    Mnih et al. 2015 (doi:10.1038/nature14236), algorithm 1; the Huber loss is the error clipped to [-1, 1] of its text.
    Distributional: Bellemare et al. 2017 (arXiv:1707.06887), algorithm 1. Its priority is the KL divergence, as in
    Hessel et al. 2018 (arXiv:1710.02298), "The Integrated Agent".

    Args:
        nets: Networks of one seed.
        batch: Minibatch, columns [B, ...].
        cfg: Hyperparameters, as numbers or 0-d tensors.

    Returns:
        Loss, 0-d, and metrics of the update, 0-d each; `priority` [B] goes to the replay buffer.
    """
    output = chosen(nets.online.q(batch["obs"], batch.get("online_weights")), batch["action"])
    following = next_output(nets, batch, cfg, action_values)
    if cfg.distributional:
        atoms = atoms_between(cfg.v_min, cfg.v_max, cfg.n_atoms, output)
        moved = batch["reward"][:, None] + batch["discount"][:, None] * atoms
        mass = project(moved, following.softmax(-1), atoms)
        error = -(mass * output.log_softmax(-1)).sum(-1)
        value = (output.softmax(-1) * atoms).sum(-1)
        # KL divergence from the target, not cross entropy, which counts the entropy of the target as error.
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
