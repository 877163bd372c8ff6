"""Tabular networks with hand-computed outputs, and inputs for losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.rl.distributions import Categorical
from tuneexp.rl.squashed import SquashedGaussian


class QTable(nn.Module):
    """Q-values table[i], [A] or [A, atoms], of state i, which is observed as a one-hot vector."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1))

    def q(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        return torch.tensordot(obs, self.table, dims=1)


class PolicyTable(nn.Module):
    """One-hot states with logits policy[state] and value value[state]."""

    def __init__(self) -> None:
        super().__init__()
        self.policy, self.value_of = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def dist_and_value(self, obs: Tensor) -> tuple[Categorical, Tensor]:
        return Categorical(obs @ self.policy), self.value(obs)

    def value(self, obs: Tensor) -> Tensor:
        return obs @ self.value_of


class _Factor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class Lines(nn.Module):
    """Linear actor and critics. obs, action: [B, 1].

    The action is actor * obs. Critic c returns critic[c] * (obs + action); with quantiles [C, n], its n numbers. The
    sampled policy is normal with mean actor * obs and standard deviation 1, before the tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic, self.temperature = _Factor(), _Factor(), _Factor()

    def act(self, obs: Tensor) -> Tensor:
        return self.actor.weight * obs

    def dist(self, obs: Tensor) -> SquashedGaussian:
        mean = self.actor.weight * obs
        return SquashedGaussian(mean, torch.zeros_like(mean))

    def q(self, obs: Tensor, action: Tensor) -> Tensor:
        both = (obs + action).squeeze(-1)  # [B]
        return self.critic.weight.unsqueeze(1) * (both if self.critic.weight.dim() == 1 else both[:, None])

    def alpha(self) -> Tensor:
        return self.temperature.weight.exp()


class Choices(nn.Module):
    """Discrete form of SAC: one-hot states with logits actor[state] and values critic[:, state]."""

    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic, self.temperature = _Factor(), _Factor(), _Factor()

    def dist(self, obs: Tensor) -> Categorical:
        return Categorical(obs @ self.actor.weight)

    def q(self, obs: Tensor) -> Tensor:
        return torch.einsum("bs,csa->cba", obs, self.critic.weight)

    def alpha(self) -> Tensor:
        return self.temperature.weight.exp()


class Parameters:
    """Values of the online and the target network by name. `gradients(loss)` returns those of the online ones."""

    def __init__(self, model: nn.Module, online: Mapping[str, Any], target: Mapping[str, Any]) -> None:
        self.online = {name: torch.tensor(value, requires_grad=True) for name, value in online.items()}
        lagging = {name: torch.tensor(value) for name, value in target.items()}
        self.nets = Nets.of_one_seed(model, self.online, lagging)

    def gradients(self, loss: Tensor) -> dict[str, list[Any]]:
        """Gradients by name; zeros if the loss doesn't depend on a parameter."""
        leaves = list(self.online.values())
        found = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        return {name: gradient.tolist() for name, gradient in zip(self.online, found, strict=True)}


def view(**values: Any) -> CfgView:
    """Hyperparameters with floats as 0-d tensors, as in a loss."""
    return CfgView({name: torch.tensor(v) if isinstance(v, float) else v for name, v in values.items()})


def one_hot(*states: int, n: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(states), n).float()


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
