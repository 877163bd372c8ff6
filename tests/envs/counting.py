"""Environments whose observation is (episode, step), single and vectorised."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space


class Counting(gymnasium.Env[np.ndarray, Any]):
    """Observation (episode, step), reward = step. Episodes have `length` steps and end by `end`."""

    def __init__(self, length: int = 3, end: str = "terminated") -> None:
        self.observation_space = Box(-1, 1e6, (2,), np.float64)
        self.action_space = Discrete(2)
        self.length, self.end = length, end
        self.episode, self.step_in_episode = -1, 0
        self.steps_taken = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.episode, self.step_in_episode = self.episode + 1, 0
        return self._obs(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.step_in_episode += 1
        self.steps_taken += 1
        over = self.step_in_episode >= self.length
        flags = (over and self.end != "truncated", over and self.end != "terminated")
        return self._obs(), float(self.step_in_episode), *flags, {}

    def _obs(self) -> np.ndarray:
        return np.array([self.episode, self.step_in_episode], np.float64)


class RandomLength(gymnasium.Env[np.ndarray, Any]):
    """Episodes of random length with random observations, all from the environment's own generator."""

    def __init__(self) -> None:
        self.observation_space = Box(-10, 10, (1,), np.float32)
        self.action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return self._obs(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self._obs(), 1.0, bool(self.np_random.random() < 0.2), False, {}

    def _obs(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 1).astype(np.float32)


class SharedGenerator(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Native vector environment, in any autoreset mode, whose sub-environments share one generator.

    Observation (episode, step, a random number of the episode); an episode has 2 to 5 steps."""

    def __init__(self, num_envs: int = 1, mode: str = "next_step", **_: Any) -> None:
        self.num_envs, self.mode = num_envs, AutoresetMode[mode.upper()]
        self.metadata = {"autoreset_mode": self.mode}
        self.single_observation_space = Box(-1, 1e6, (3,), np.float32)
        self.single_action_space = Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._state = np.full((num_envs, 3), -1, np.float32)
        self._length = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        mask = np.ones(self.num_envs, np.bool_) if options is None else options["reset_mask"]
        self._begin(mask)
        self._over[mask] = False
        return self._state.copy(), {}

    def _begin(self, mask: np.ndarray) -> None:
        self._state[mask, 0] += 1
        self._state[mask, 1] = 0
        self._state[mask, 2] = self.np_random.random(mask.sum())
        self._length[mask] = self.np_random.integers(2, 6, mask.sum())

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        resets = self._over if self.mode is AutoresetMode.NEXT_STEP else np.zeros(self.num_envs, np.bool_)
        assert self.mode is not AutoresetMode.DISABLED or not self._over.any()
        self._state[~resets, 1] += 1
        over = ~resets & (self._state[:, 1] >= self._length)
        if resets.any():
            self._begin(resets)
        reward = np.where(resets, 0.0, self._state[:, 1]).astype(np.float32)
        infos: dict[str, Any] = {}
        if self.mode is AutoresetMode.SAME_STEP and over.any():
            infos = {"final_obs": self._state.copy(), "_final_obs": over.copy()}
            self._begin(over)
        self._over = over
        return self._state.copy(), reward, over.copy(), np.zeros_like(over), infos


class SharedGeneratorSingle(Counting):
    """Single environment of the id of `SharedGenerator`, for `gymnasium.make`."""

    def __init__(self, mode: str = "next_step") -> None:
        super().__init__()


class Faulty(Counting):
    """Fails in step `at` of episode 0, in the way named by `how`."""

    def __init__(self, how: str, at: int = 2) -> None:
        super().__init__(length=10)
        self.how, self.at = how, at

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = super().step(action)
        if self.step_in_episode == self.at:
            if self.how == "raises":
                raise ValueError("the arm fell off")
            if self.how == "nan observation":
                obs[1] = np.nan
            if self.how == "inf reward":
                reward = np.inf
        return obs, reward, terminated, truncated, info


class OddSpaces(gymnasium.Env[Any, Any]):
    """Has the given spaces; their discrete values count from `start`."""

    def __init__(self, observation: str = "discrete", action: str = "multidiscrete", start: int = 0) -> None:
        spaces = {
            "discrete": Discrete(4, start=start),
            "multidiscrete": MultiDiscrete([2, 3], start=[start, start]),
            "wide box": Box(-2.0, np.array([1.0, np.inf], np.float32), (2,)),
            "bytes": Box(0, 255, (2, 2), np.uint8),
            "dict": Dict({"a": Discrete(2)}),
            "text": Text(3),
        }
        self.observation_space, self.action_space = spaces[observation], spaces[action]
        self.seen: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.seen.append(np.array(action))
        return self.observation_space.sample(), 0.0, False, False, {}


NATIVE = "tuneexp-test/SharedGenerator-v0"
if NATIVE not in gymnasium.registry:
    gymnasium.register(NATIVE, SharedGeneratorSingle, vector_entry_point=SharedGenerator)
