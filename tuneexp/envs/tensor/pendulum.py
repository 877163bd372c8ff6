"""Pendulum-v1 of gymnasium as a tensor program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from tuneexp.envs.tensor.tensor_env import TensorEnv
from tuneexp.rl.noise import Noise

_MOST_SPEED, _MOST_TORQUE = 8.0, 2.0


class PendulumState(NamedTuple):
    """Angle from upright [rad] and angular velocity [rad/s], each [...]."""

    theta: Tensor
    theta_dot: Tensor


class Pendulum(TensorEnv):
    """A pendulum that is swung up by a torque too small to lift it."""

    max_episode_steps = 200
    params = {
        "g": 10.0,
        "m": 1.0,
        "l": 1.0,
        "dt": 0.05,  # s
        "max_speed": _MOST_SPEED,
        "max_torque": _MOST_TORQUE,
        "start_angle": math.pi,
        "start_speed": 1.0,
    }
    reset_noise = {"start": Noise("uniform", (2,))}

    def __init__(self) -> None:
        high = np.array([1.0, 1.0, _MOST_SPEED], np.float32)
        self.observation_space = Box(-high, high, dtype=np.float32)
        self.action_space = Box(-_MOST_TORQUE, _MOST_TORQUE, (1,), np.float32)

    def reset(self, noise: Mapping[str, Tensor], params: Mapping[str, Tensor]) -> tuple[PendulumState, Tensor]:
        angle, speed = params["start_angle"], params["start_speed"]
        drawn = noise["start"]
        state = PendulumState(-angle + 2 * angle * drawn[..., 0], -speed + 2 * speed * drawn[..., 1])
        return state, _observation(state)

    def step(self, state: Any, action: Tensor, noise: Mapping[str, Tensor], params: Mapping[str, Tensor]) -> Any:
        p = params
        theta, theta_dot = state
        torque = torch.clamp(action[..., 0], -p["max_torque"], p["max_torque"])
        angle = torch.remainder(theta + math.pi, 2 * math.pi) - math.pi
        cost = angle.square() + 0.1 * theta_dot.square() + 0.001 * torque.square()
        pull = 3 * p["g"] / (2 * p["l"]) * theta.sin()
        speed = theta_dot + (pull + 3.0 / (p["m"] * p["l"].square()) * torque) * p["dt"]
        speed = torch.clamp(speed, -p["max_speed"], p["max_speed"])
        following = PendulumState(theta + speed * p["dt"], speed)
        return following, _observation(following), -cost, torch.zeros_like(cost, dtype=torch.bool)


def _observation(state: PendulumState) -> Tensor:
    return torch.stack((state.theta.cos(), state.theta.sin(), state.theta_dot), -1)
