"""Custom networks, valid and invalid."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

OBS, ACTIONS = 4, 3


class Policy(nn.Module):
    """Network for PPO and A2C with any action space: two layers on flattened observations."""

    def __init__(self, observation_space: Any, action_space: Any, width: int = 8) -> None:
        super().__init__()
        size = math.prod(observation_space.shape)
        outputs = int(action_space.n) if hasattr(action_space, "n") else math.prod(action_space.shape)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.Tanh())
        self.mean, self.worth = nn.Linear(width, outputs), nn.Linear(width, 1)
        if not hasattr(action_space, "n"):
            self.log_std = nn.Parameter(torch.full((outputs,), -0.5))

    def policy(self, obs: Tensor) -> Tensor:
        return self.mean(self.body(obs.float()))

    def value(self, obs: Tensor) -> Tensor:
        return self.worth(self.body(obs.float())).squeeze(-1)


class Values(nn.Module):
    def __init__(self, observation_space: Any, action_space: Any, outputs: int = ACTIONS) -> None:
        super().__init__()
        self.layer = nn.Linear(OBS, outputs)

    def q(self, obs: Tensor) -> Tensor:
        return self.layer(obs)


class Actor(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(OBS, 2 * outputs)

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.layer(obs).chunk(2, dim=-1)
        return mean, log_std


class Critic(nn.Module):
    def __init__(self, inputs: int, outputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs) for _ in range(2))

    def forward(self, obs: Tensor, *action: Tensor) -> Tensor:
        x = torch.cat([obs, *action], dim=-1)
        out = torch.stack([layer(x) for layer in self.layers])
        return out.squeeze(-1) if action else out


class Soft(nn.Module):
    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__()
        self.actor, self.critic = Actor(2), Critic(OBS + 2)


class SoftOnChoices(nn.Module):
    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__()
        self.actor, self.critic = nn.Linear(OBS, ACTIONS), Critic(OBS, ACTIONS)


class Deterministic(nn.Module):
    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__()
        self.actor, self.critic = nn.Linear(OBS, 2), Critic(OBS + 2)


# -- wrong ones


class NoHeads(nn.Module):
    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(OBS, 1)

    def values(self, obs: Tensor) -> Tensor:
        return self.layer(obs)


class WideValue(Policy):
    def value(self, obs: Tensor) -> Tensor:
        return self.worth(self.body(obs))


class BrokenValue(Policy):
    def value(self, obs: Tensor) -> Tensor:
        return self.worth(obs)


class WithLayer(nn.Module):
    def __init__(self, observation_space: Any, action_space: Any, layer: nn.Module) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(OBS, ACTIONS), layer)


class WithBuffer(Policy):
    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__(observation_space, action_space)
        self.register_buffer("scale", torch.ones(OBS))


class Loose(Soft):
    """Network with a parameter that is in neither part."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__(observation_space, action_space)
        self.encoder = nn.Linear(OBS, OBS)


class Tied(Deterministic):
    """Network whose actor and critic share a layer."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__(observation_space, action_space)
        self.actor = nn.Sequential(nn.Linear(OBS, OBS), nn.Linear(OBS, 2))
        self.critic.shared = self.actor[0]


def not_a_module(observation_space: Any, action_space: Any) -> int:
    return 3
