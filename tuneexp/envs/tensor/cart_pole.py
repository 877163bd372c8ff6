"""CartPole-v1 of gymnasium as a tensor program. Barto, Sutton and Anderson 1983."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from tuneexp.envs.tensor.tensor_env import TensorEnv
from tuneexp.rl.noise import Noise

_MOST_ANGLE, _MOST_POSITION = 12 * 2 * math.pi / 360, 2.4


class CartPoleState(NamedTuple):
    """Position [m], velocity [m/s], angle [rad] and angular velocity [rad/s], each [...]."""

    x: Tensor
    x_dot: Tensor
    theta: Tensor
    theta_dot: Tensor


class CartPole(TensorEnv):
    """A pole on a cart that is pushed left or right; the reward is 1 until it falls.

    Args:
        sutton_barto_reward: The reward is 0, and -1 when it falls.
    """

    max_episode_steps = 500
    params = {
        "gravity": 9.8,
        "masscart": 1.0,
        "masspole": 0.1,
        "length": 0.5,  # half of the pole's
        "force_mag": 10.0,
        "tau": 0.02,  # s
        "theta_threshold_radians": _MOST_ANGLE,
        "x_threshold": _MOST_POSITION,
        "start_bound": 0.05,
    }
    reset_noise = {"start": Noise("uniform", (4,))}

    def __init__(self, sutton_barto_reward: bool = False) -> None:
        self._sutton_barto_reward = sutton_barto_reward
        high = np.array([_MOST_POSITION * 2, np.inf, _MOST_ANGLE * 2, np.inf], np.float32)
        self.observation_space = Box(-high, high, dtype=np.float32)
        self.action_space = Discrete(2)

    def reset(self, noise: Mapping[str, Tensor], params: Mapping[str, Tensor]) -> tuple[CartPoleState, Tensor]:
        high = params["start_bound"]
        start = -high + 2 * high * noise["start"]
        return CartPoleState(*start.unbind(-1)), start

    def step(self, state: Any, action: Tensor, noise: Mapping[str, Tensor], params: Mapping[str, Tensor]) -> Any:
        p = params
        x, x_dot, theta, theta_dot = state
        force = torch.where(action == 1, p["force_mag"], -p["force_mag"])
        cos, sin = theta.cos(), theta.sin()
        mass = p["masspole"] + p["masscart"]
        pole_moment = p["masspole"] * p["length"]
        temp = (force + pole_moment * theta_dot.square() * sin) / mass
        theta_acc = (p["gravity"] * sin - cos * temp) / (
            p["length"] * (4.0 / 3.0 - p["masspole"] * cos.square() / mass)
        )
        x_acc = temp - pole_moment * theta_acc * cos / mass
        x, x_dot = x + p["tau"] * x_dot, x_dot + p["tau"] * x_acc
        theta, theta_dot = theta + p["tau"] * theta_dot, theta_dot + p["tau"] * theta_acc
        fallen = (x.abs() > p["x_threshold"]) | (theta.abs() > p["theta_threshold_radians"])
        reward = -fallen.to(x.dtype) if self._sutton_barto_reward else torch.ones_like(x)
        return CartPoleState(x, x_dot, theta, theta_dot), torch.stack((x, x_dot, theta, theta_dot), -1), reward, fallen
