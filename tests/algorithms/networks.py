"""Custom networks that tests name by their address."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch import Tensor, nn

from tuneexp.spaces.packing import packed_size


class Wide(nn.Module):
    """Network with all heads that PPO, A2C and DQN need, for vectors and packed dictionaries."""

    def __init__(self, observation_space: Box | Dict, action_space: Any, width: int = 8) -> None:
        super().__init__()
        size = packed_size(observation_space) if isinstance(observation_space, Dict) else observation_space.shape[0]
        self.trunk = nn.Sequential(nn.Linear(size, width), nn.ReLU())
        self.value_layer = nn.Linear(width, 1)
        outputs = int(action_space.n) if isinstance(action_space, Discrete) else action_space.shape[0]
        self.policy_layer = nn.Linear(width, outputs)
        if isinstance(action_space, Box):
            self.log_std = nn.Parameter(torch.zeros(outputs))

    def policy(self, obs: Tensor) -> Tensor:
        return self.policy_layer(self.trunk(obs))

    def value(self, obs: Tensor) -> Tensor:
        return self.value_layer(self.trunk(obs)).squeeze(-1)

    def q(self, obs: Tensor) -> Tensor:
        return self.policy(obs)


class Critics(nn.Module):
    def __init__(self, inputs: int, n_critics: int, n_quantiles: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inputs, n_quantiles) for _ in range(n_critics))

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        values = torch.stack([layer(torch.cat([obs, action], dim=-1)) for layer in self.layers])
        return values.squeeze(-1) if values.shape[-1] == 1 else values


class Actor(nn.Module):
    def __init__(self, inputs: int, outputs: int, spread: bool) -> None:
        super().__init__()
        self.mean = nn.Linear(inputs, outputs)
        self.log_std = nn.Linear(inputs, outputs) if spread else None

    def forward(self, obs: Tensor) -> Any:
        return self.mean(obs) if self.log_std is None else (self.mean(obs), self.log_std(obs))


class Parts(nn.Module):
    """Network for the off-policy actor-critics."""

    def __init__(
        self, observation_space: Box, action_space: Box, spread: bool, n_critics: int = 2, n_quantiles: int = 1
    ) -> None:
        super().__init__()
        inputs, outputs = observation_space.shape[0], action_space.shape[0]
        self.actor = Actor(inputs, outputs, spread)
        self.critic = Critics(inputs + outputs, n_critics, n_quantiles)


class Headless(nn.Module):
    def __init__(self, observation_space: Box, action_space: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(observation_space.shape[0], 1)

    def values(self, obs: Tensor) -> Tensor:
        return self.layer(obs).squeeze(-1)
