"""Small tensor environments, right and wrong ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from tuneexp import Noise, TensorEnv


class Counting(TensorEnv):
    """Observation (number of the episode's draw, step), reward = step. Terminated after `length` steps."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Discrete(2)
    params = {"length": 3}

    def reset(self, noise: Any, params: Any) -> Any:
        state = (noise["start"], torch.zeros_like(noise["start"]))
        return state, torch.stack(state, -1)

    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        after = (state[0], state[1] + 1)
        return after, torch.stack(after, -1), after[1], after[1] >= params["length"]


class Mixed(Counting):
    """Dictionary observations, several discrete actions, a map, noise of both kinds."""

    observation_space = Dict({"where": Discrete(4), "view": Box(0, 255, (2, 2), np.uint8)})
    action_space = MultiDiscrete([2, 3])
    max_episode_steps = 9
    params = {"length": 3, "map": [0, 3, 1, 2]}
    step_noise = {"slip": Noise("normal", (2,)), "chance": Noise("uniform")}

    def reset(self, noise: Any, params: Any) -> Any:
        state = {"place": (noise["start"] * 4).long(), "time": torch.zeros_like(noise["start"])}
        return state, self._seen(state, params)

    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        slipped = (noise["slip"].sum(-1) > 1).long()
        after = {"place": (state["place"] + action.sum(-1) + slipped) % 4, "time": state["time"] + 1}
        return after, self._seen(after, params), noise["chance"], after["time"] >= params["length"]

    def _seen(self, state: Any, params: Any) -> Any:
        where = params["map"][state["place"]]
        view = torch.stack([where, where + 1, where, where], -1).to(torch.uint8)
        return {"where": where, "view": view.unflatten(-1, (2, 2))}


class Reads(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        if state[1].max() > 2:
            return super().step(state, action, noise, params)
        return super().step(state, action, noise, params)


class Doubles(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        after, obs, reward, over = super().step(state, action, noise, params)
        return after, obs, reward * torch.ones(1, dtype=torch.float64, device=reward.device), over


class DoubleState(Counting):
    def reset(self, noise: Any, params: Any) -> Any:
        state, obs = super().reset(noise, params)
        return (state[0], state[1].double()), obs


class Elsewhere(Counting):
    def reset(self, noise: Any, params: Any) -> Any:
        state, obs = super().reset(noise, params)
        return (state[0], torch.zeros(state[1].shape)), obs


class ThreeResults(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        return super().step(state, action, noise, params)[:3]


class Wide(Counting):
    observation_space = Box(-np.inf, np.inf, (5,), np.float32)


class NumberReward(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        after, obs, _, over = super().step(state, action, noise, params)
        return after, obs, 1.0, over


class OtherState(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        after, *others = super().step(state, action, noise, params)
        return {"a": after[0], "b": after[1]}, *others


class Growing(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        after, *others = super().step(state, action, noise, params)
        return (after[0], after[1].long()), *others


class NoNoise(Counting):
    reset_noise = {}


class Spaceless(Counting):
    observation_space = None  # type: ignore[assignment]


class SameNames(Counting):
    step_noise = {"start": Noise("normal")}


class Random(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        after, obs, reward, over = super().step(state, action, noise, params)
        return after, obs, reward + torch.rand_like(reward), over


class InPlace(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        state[1].add_(1)
        return state, torch.stack(state, -1), state[1].clone(), state[1] >= params["length"]


class Neighbours(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        after, obs, reward, over = super().step(state, action, noise, params)
        return after, obs, reward + state[0].sum(), over


class Outside(Counting):
    observation_space = Box(0.0, 1.0, (2,), np.float32)


class Endless(Counting):
    params = {"length": 10**9}


def made(length: int = 3) -> TensorEnv:
    """A function that gives an environment."""
    env = Counting()
    env.params = {"length": length}
    return env


class Overflowing(Counting):
    def step(self, state: Any, action: Any, noise: Any, params: Any) -> Any:
        after, obs, reward, over = super().step(state, action, noise, params)
        return after, obs, torch.where(after[1] > 1, torch.inf, reward), over
