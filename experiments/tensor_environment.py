"""An environment of your own as pure functions of tensors: park a cart on a mark, in gusts of wind. PPO solves it in
seconds.

python experiments/tensor_environment.py
tuneexp train ppo experiments/tensor_environment.py:Parking --env-steps 50000 --set env_kwargs/wind=0.01
tuneexp sweep --algorithm ppo --env experiments/tensor_environment.py:Parking --name parking
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor

from tuneexp import Noise, Sweep, TensorEnv, run_script, watch


class State(NamedTuple):
    """Position, speed and mark, each [...]: a value for each environment of each seed."""

    position: Tensor
    speed: Tensor
    mark: Tensor


class Parking(TensorEnv):
    """A cart on rails that is pushed left, not at all, or right.

    The reward is minus the distance to the mark. The episode is terminated when the cart stands on the mark, and
    truncated after 100 steps."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Discrete(3)
    max_episode_steps = 100
    params = {"friction": 0.1, "push": 0.02, "wind": 0.002}
    reset_noise = {"places": Noise("uniform", (2,))}
    step_noise = {"gust": Noise("normal")}

    def reset(self, noise: Mapping[str, Tensor], params: Mapping[str, Tensor]) -> tuple[State, Tensor]:
        position, mark = (2.0 * noise["places"] - 1.0).unbind(-1)
        state = State(position, torch.zeros_like(position), mark)
        return state, observation(state)

    def step(self, state: State, action: Tensor, noise: Mapping[str, Tensor], params: Mapping[str, Tensor]) -> Any:
        push = params["push"] * (action - 1) + params["wind"] * noise["gust"]
        speed = (1.0 - params["friction"]) * state.speed + push
        following = State(state.position + speed, speed, state.mark)
        distance = (following.position - following.mark).abs()
        parked = (distance < 0.05) & (speed.abs() < 0.02)
        return following, observation(following), -distance, parked

    def render(self, state: State, params: Mapping[str, Tensor]) -> NDArray[np.uint8]:
        """Draw the mark in green and the cart in white; optional, for `tuneexp watch`."""
        picture = np.zeros((40, 400, 3), np.uint8)
        for place, color, half in ((state.mark, (0, 160, 0), 12), (state.position, (255, 255, 255), 6)):
            column = int(np.clip(200 + 100 * float(place), half, 400 - half))
            picture[10:30, column - half : column + half] = color
        return picture


def observation(state: State) -> Tensor:
    return torch.stack((state.position, state.speed * 10.0, state.mark - state.position), -1)


def main(trials: int = 4, seeds: int = 4, env_steps: int = 50_000, name: str = "", storage: str = "runs") -> None:
    """Tune PPO on the environment. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
        env=Parking,  # the class; on the command line path/file.py:Parking
        env_kwargs={"wind": 0.005},
        space={"learning_rate": {"loguniform": [3e-4, 3e-3]}, "gamma": {"complement_loguniform": [0.9, 0.99]}},
        fixed={"n_steps": 64, "batch_size": 256, "n_epochs": 10},
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
