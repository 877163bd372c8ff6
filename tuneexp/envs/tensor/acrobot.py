"""Acrobot-v1 of gymnasium as a tensor program. Sutton 1996; the dynamics of Sutton and Barto 2018."""

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

_MOST_SPEEDS = (4 * math.pi, 9 * math.pi)
Params = Mapping[str, Tensor]


class AcrobotState(NamedTuple):
    """Angles of both links [rad] and their angular velocities [rad/s], each [...]."""

    theta1: Tensor
    theta2: Tensor
    theta1_dot: Tensor
    theta2_dot: Tensor


class Acrobot(TensorEnv):
    """Two links; a torque at the joint between them swings the end above a line."""

    max_episode_steps = 500
    params = {
        "dt": 0.2,  # s
        "link_length_1": 1.0,
        "link_mass_1": 1.0,
        "link_mass_2": 1.0,
        "link_com_pos_1": 0.5,
        "link_com_pos_2": 0.5,
        "link_moi": 1.0,
        "gravity": 9.8,
        "max_vel_1": _MOST_SPEEDS[0],
        "max_vel_2": _MOST_SPEEDS[1],
        "start_bound": 0.1,
    }
    reset_noise = {"start": Noise("uniform", (4,))}

    def __init__(self) -> None:
        high = np.array([1.0, 1.0, 1.0, 1.0, *_MOST_SPEEDS], np.float32)
        self.observation_space = Box(-high, high, dtype=np.float32)
        self.action_space = Discrete(3)

    def reset(self, noise: Mapping[str, Tensor], params: Params) -> tuple[AcrobotState, Tensor]:
        high = params["start_bound"]
        state = AcrobotState(*(-high + 2 * high * noise["start"]).unbind(-1))
        return state, _observation(state)

    def step(self, state: Any, action: Tensor, noise: Mapping[str, Tensor], params: Params) -> Any:
        p = params
        torque = (action - 1).to(state.theta1.dtype)
        theta1, theta2, speed1, speed2 = _runge_kutta(state, torque, p)
        following = AcrobotState(
            _wrapped(theta1),
            _wrapped(theta2),
            torch.clamp(speed1, -p["max_vel_1"], p["max_vel_1"]),
            torch.clamp(speed2, -p["max_vel_2"], p["max_vel_2"]),
        )
        high_enough = -following.theta1.cos() - (following.theta2 + following.theta1).cos() > 1.0
        reward = high_enough.to(torque.dtype) - 1.0
        return following, _observation(following), reward, high_enough


def _runge_kutta(state: AcrobotState, torque: Tensor, p: Params) -> tuple[Tensor, ...]:
    """Integrate over `dt` with one step of the classical fourth-order Runge-Kutta method."""
    dt = p["dt"]
    k1 = _derivative(state, torque, p)
    k2 = _derivative(_moved(state, k1, dt / 2), torque, p)
    k3 = _derivative(_moved(state, k2, dt / 2), torque, p)
    k4 = _derivative(_moved(state, k3, dt), torque, p)
    slopes = [a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)]
    return _moved(state, slopes, dt / 6.0)


def _moved(state: Any, slope: Any, time: Tensor) -> tuple[Tensor, ...]:
    return tuple(value + time * change for value, change in zip(state, slope, strict=True))


def _derivative(state: Any, torque: Tensor, p: Params) -> tuple[Tensor, ...]:
    """Return the time derivative of a state. Equations of the book: gymnasium's `book_or_nips = "book"`."""
    theta1, theta2, speed1, speed2 = state
    m1, m2, l1 = p["link_mass_1"], p["link_mass_2"], p["link_length_1"]
    lc1, lc2, moi, g = p["link_com_pos_1"], p["link_com_pos_2"], p["link_moi"], p["gravity"]
    cos2, sin2 = theta2.cos(), theta2.sin()
    d1 = m1 * lc1.square() + m2 * (l1.square() + lc2.square() + 2 * l1 * lc2 * cos2) + moi + moi
    d2 = m2 * (lc2.square() + l1 * lc2 * cos2) + moi
    phi2 = m2 * lc2 * g * (theta1 + theta2 - math.pi / 2.0).cos()
    phi1 = (
        -m2 * l1 * lc2 * speed2.square() * sin2
        - 2 * m2 * l1 * lc2 * speed2 * speed1 * sin2
        + (m1 * lc1 + m2 * l1) * g * (theta1 - math.pi / 2).cos()
        + phi2
    )
    acc2 = (torque + d2 / d1 * phi1 - m2 * l1 * lc2 * speed1.square() * sin2 - phi2) / (
        m2 * lc2.square() + moi - d2.square() / d1
    )
    acc1 = -(d2 * acc2 + phi1) / d1
    return speed1, speed2, acc1, acc2


def _wrapped(angle: Tensor) -> Tensor:
    """Return an angle in [-pi, pi]; one that is already there is kept."""
    turns = torch.ceil((angle.abs() - math.pi) / (2 * math.pi))
    return angle - 2 * math.pi * turns * angle.sign()


def _observation(state: AcrobotState) -> Tensor:
    theta1, theta2, speed1, speed2 = state
    return torch.stack((theta1.cos(), theta1.sin(), theta2.cos(), theta2.sin(), speed1, speed2), -1)
