"""MountainCar-v0 and MountainCarContinuous-v0 of gymnasium as tensor programs. Moore 1990."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from tuneexp.envs.tensor.tensor_env import TensorEnv
from tuneexp.rl.noise import Noise

_LEFT, _RIGHT, _MOST_SPEED = -1.2, 0.6, 0.07
_COMMON = {
    "min_position": _LEFT,
    "max_position": _RIGHT,
    "max_speed": _MOST_SPEED,
    "goal_velocity": 0.0,
    "gravity": 0.0025,
    "start_low": -0.6,
    "start_high": -0.4,
}
Params = Mapping[str, Tensor]


class CarState(NamedTuple):
    """Position and velocity per step, each [...]."""

    position: Tensor
    velocity: Tensor


class _Valley(TensorEnv):
    """A car in a valley, too weak to drive out without gaining speed first."""

    reset_noise = {"start": Noise("uniform")}

    def __init__(self) -> None:
        low, high = np.array([_LEFT, -_MOST_SPEED], np.float32), np.array([_RIGHT, _MOST_SPEED], np.float32)
        self.observation_space = Box(low, high, dtype=np.float32)

    def reset(self, noise: Mapping[str, Tensor], params: Params) -> tuple[CarState, Tensor]:
        low, high = params["start_low"], params["start_high"]
        position = low + (high - low) * noise["start"]
        state = CarState(position, torch.zeros_like(position))
        return state, torch.stack(state, -1)


class MountainCar(_Valley):
    """The car is driven left, not at all, or right; each step costs 1."""

    max_episode_steps = 200
    params = {**_COMMON, "goal_position": 0.5, "force": 0.001}

    def __init__(self) -> None:
        super().__init__()
        self.action_space = Discrete(3)

    def step(self, state: Any, action: Tensor, noise: Mapping[str, Tensor], params: Params) -> Any:
        push = (action - 1).to(state.position.dtype) * params["force"]
        following, arrived = _driven(state, push, params)
        return following, torch.stack(following, -1), torch.full_like(push, -1.0), arrived


class MountainCarContinuous(_Valley):
    """The car is driven by a force; the goal is worth 100, each step costs a tenth of the squared action."""

    max_episode_steps = 999
    params = {**_COMMON, "goal_position": 0.45, "power": 0.0015}

    def __init__(self) -> None:
        super().__init__()
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)

    def step(self, state: Any, action: Tensor, noise: Mapping[str, Tensor], params: Params) -> Any:
        force = action[..., 0]
        following, arrived = _driven(state, torch.clamp(force, -1.0, 1.0) * params["power"], params)
        reward = 100.0 * arrived.to(force.dtype) - 0.1 * force.square()
        return following, torch.stack(following, -1), reward, arrived


def _driven(state: CarState, push: Tensor, p: Params) -> tuple[CarState, Tensor]:
    """Return the next state, and True where the goal is reached."""
    velocity = state.velocity + (push - p["gravity"] * (3 * state.position).cos())
    velocity = torch.clamp(velocity, -p["max_speed"], p["max_speed"])
    position = torch.clamp(state.position + velocity, p["min_position"], p["max_position"])
    stopped = (position == p["min_position"]) & (velocity < 0)
    velocity = torch.where(stopped, torch.zeros_like(velocity), velocity)
    arrived = (position >= p["goal_position"]) & (velocity >= p["goal_velocity"])
    return CarState(position, velocity), arrived
