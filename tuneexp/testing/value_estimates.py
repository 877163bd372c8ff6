"""Value estimates of observations from an algorithm's networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tuneexp.algorithms.dqn import action_values
from tuneexp.errors import UserError
from tuneexp.learning.hyper import CfgView, view_of_tensor
from tuneexp.learning.nets import Nets
from tuneexp.trial import Trial

ValueFn = Callable[[Trial, Nets, Tensor, CfgView], Tensor]
"""trial, one seed's nets, obs [K, ...], cfg -> what the observations are worth to the deterministic policy, [K]."""


def values_of(trial: Trial, values: ValueFn, obs: Tensor) -> Tensor:
    """obs: [K, ...]. Every seed's values, [K, S]."""
    learner = trial.learner
    of_seeds = []
    with torch.no_grad():
        for index in range(len(learner.seeds)):
            nets = Nets.of_one_seed(learner.model, {name: leaf[index] for name, leaf in learner.parameters.items()})
            cfg = view_of_tensor(learner.hyper.static, learner.hyper.names, learner.hyper.tensor[index])
            of_seeds.append(values(trial, nets, obs, cfg))
    return torch.stack(of_seeds, dim=1)


def greedy_values(trial: Trial, nets: Nets, obs: Tensor, cfg: CfgView) -> Tensor:
    """A model with `q`: the value of the action that the policy takes, by the most pessimistic critic. Else that of
    its method `value`. For a network with other heads, give the contract a function of your own (`values=`)."""
    model = trial.learner.model
    if callable(getattr(model, "q", None)):
        return _q_of_greedy(trial, nets, obs, cfg)
    if not callable(getattr(model, "value", None)):
        raise UserError(
            f"the contract finds no value of {trial.spec.name!r}: its model has no method value(obs) and no q(obs)\n"
            "give it one: contract(..., values=lambda trial, nets, obs, cfg: tensor [K])"
        )
    return nets.frozen.value(obs, *_first_state(model, obs))


def _first_state(model: nn.Module, obs: Tensor) -> tuple[Tensor, ...]:
    size = getattr(model, "state_size", 0)
    return (obs.new_zeros(len(obs), size),) if size else ()


def _q_of_greedy(trial: Trial, nets: Nets, obs: Tensor, cfg: CfgView) -> Tensor:
    action = _greedy_action(trial, nets, obs, cfg)
    if action.is_floating_point():
        output = nets.frozen.q(obs, action)  # [n_critics, K], with quantiles [n_critics, K, n_quantiles]
        return (output if output.dim() == 2 else output.mean(-1)).amin(0)
    output = nets.frozen.q(obs)
    if getattr(trial.learner.model, "atoms", 1) > 1:  # [K, A, atoms]: logits of a distribution, or quantiles
        of_atoms = "distributional" in trial.spec.config_class.model_fields
        output = action_values(output, cfg) if of_atoms else output.mean(-1)
    if output.dim() == 3:  # [n_critics, K, A]
        output = output.amin(0)
    return output.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)


def _greedy_action(trial: Trial, nets: Nets, obs: Tensor, cfg: CfgView) -> Tensor:
    """As the networks count actions: [K] or [K, ...]."""
    noise = {name: kind.zeros(1, len(obs))[0] for name, kind in trial.trainer.shapes.act_noise}
    action, columns, _ = trial.trainer.spec.act_fn(nets, obs, None, noise, cfg, torch.tensor(False))
    return columns.get("network_action", action)
