"""Environments that need memory or an action mask."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray

TIME_LIMIT = 500


class CartPoleWithoutVelocities(gymnasium.ObservationWrapper[Any, Any, Any]):
    """CartPole-v1 without velocities: observations are the position and the angle, so a policy needs memory."""

    def __init__(self) -> None:
        super().__init__(TimeLimit(CartPoleEnv(), TIME_LIMIT))
        seen = self.env.observation_space
        assert isinstance(seen, Box)
        self.observation_space = Box(seen.low[[0, 2]], seen.high[[0, 2]], dtype=np.float32)

    def observation(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        return observation[[0, 2]]


class CartPoleWithSpareActions(gymnasium.Wrapper[Any, Any, Any, Any]):
    """CartPole-v1 with 8 actions, of which one pair is valid at each step, chosen at random.

    The even action of the pair pushes left, the odd one right. An invalid action ends the episode. Only the action mask
    shows which pair is valid."""

    ACTIONS = 8

    def __init__(self) -> None:
        super().__init__(TimeLimit(CartPoleEnv(), TIME_LIMIT))
        self.action_space = Discrete(self.ACTIONS)
        self._first = 0

    def action_masks(self) -> NDArray[np.bool_]:
        return np.arange(self.ACTIONS) // 2 == self._first // 2

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        obs, info = self.env.reset(seed=seed, options=options)
        self._choose()
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        push = int(action) - self._first
        if push not in (0, 1):
            return np.zeros(4, np.float32), 0.0, True, False, {}
        obs, reward, terminated, truncated, info = self.env.step(push)
        self._choose()
        return obs, reward, terminated, truncated, info

    def _choose(self) -> None:
        self._first = 2 * int(self.env.unwrapped.np_random.integers(self.ACTIONS // 2))
