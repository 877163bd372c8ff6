"""float64 observations are normalised before they are converted to float32."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo import ParallelEnv

from tests.small import small_trial
from tuneexp.algorithms.dqn import DQN
from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.policy_spec import PolicySpec
from tuneexp.algorithms.ppo import PPO
from tuneexp.data.replay import Entry, ReplayBuffer
from tuneexp.trial import Trial
from tuneexp.trial.recipes import RunnerRecipe
from tuneexp.trial.trial_config import TrialConfig

START = 1.7e9  # seconds since 1970: the next float32 is 128 further


class Clock(gymnasium.Env[Any, int]):
    """Observes 1.7e9 + 0 to 9, ten steps per episode; the reward of each step is 1 + 2^-30."""

    action_space = Discrete(2)

    def __init__(self, as_dict: bool = False) -> None:
        self.as_dict = as_dict
        time = Box(-np.inf, np.inf, (1,), np.float64)
        self.observation_space: Any = Dict({"time": time, "kind": Discrete(3)}) if as_dict else time

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self._obs(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return self._obs(), 1.0 + 2.0**-30, self.time == 9, False, {}

    def _obs(self) -> Any:
        time = np.array([START + self.time])
        return {"time": time, "kind": 1} if self.as_dict else time


class Clocks(ParallelEnv):
    metadata: dict[str, Any] = {"name": "clocks"}
    possible_agents = ["one"]

    def observation_space(self, agent: str) -> Any:
        return Box(-np.inf, np.inf, (1,), np.float64)

    def action_space(self, agent: str) -> Any:
        return Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self.time = ["one"], 0
        return {"one": np.array([START])}, {"one": {}}

    def step(self, actions: Any) -> Any:
        self.time += 1
        over = self.time == 9
        self.agents = [] if over else ["one"]
        return {"one": np.array([START + self.time])}, {"one": 1.0}, {"one": over}, {"one": False}, {"one": {}}


def values(obs: torch.Tensor) -> int:
    """Number of distinct times."""
    return len(obs.reshape(-1).unique())


@pytest.mark.parametrize("as_dict", [False, True], ids=["box", "dict"])
def test_a_large_mean_is_subtracted_before_digits_are_lost(as_dict: bool) -> None:
    trial = small_trial(env=Clock, env_kwargs={"as_dict": as_dict}, normalize_observation=True, n_steps=40)
    trial.group.sample(40)  # which the statistics are of
    fragment = trial.group.sample(40)
    time = fragment["obs"][:, 0, 0, -1]
    assert time.dtype == torch.float32
    assert values(time) == 10
    # Against the mean and deviation of 1.7e9 + 0 to 8, on which actions are taken.
    expected = (fragment["obs"][:, 0, 0, -1].double() * np.arange(9).std() + 4).round(decimals=2).unique()
    torch.testing.assert_close(expected, torch.arange(10).double(), atol=0.02, rtol=0)
    trial.advance()


def test_a_replay_buffer_keeps_what_is_normalised_when_it_is_drawn() -> None:
    trial = small_trial(
        env=Clock, spec=DQN, normalize_observation=True,
        hyperparameters={"buffer_size": 200, "learning_starts": 40, "n_envs": 2, "batch_size": 100, "train_freq": 20,
                         "normalize_observation": True},
    )  # fmt: skip
    for _ in range(3):
        trial.training_step()
    assert trial.trainer.experience is not None
    rows = trial.trainer.experience.buffer.sample_rows(1, 100, trial.learner.generators)
    (minibatch,) = trial.trainer.experience.minibatches(rows)
    assert minibatch["obs"].dtype == torch.float32
    assert values(minibatch["obs"][0]) == 9
    assert values(minibatch["next_obs"][0]) == 9


def test_evaluation_and_other_processes_see_what_training_sees() -> None:
    trial = small_trial(env=Clock, normalize_observation=True, n_steps=40)
    trial.group.sample(40)
    seen: list[torch.Tensor] = []
    exploit = trial.group.policy.exploit
    trial.group.policy.exploit = lambda obs, state: (seen.append(obs), exploit(obs, state))[1]  # type: ignore
    returns = trial.evaluate(2, 0)
    assert values(torch.stack(seen)[:, 0]) == 9
    # A reward that float32 can't hold is counted as it is.
    assert (returns == 9 * (1.0 + 2.0**-30)).all()
    (shard,) = trial.group.runners.shards
    runner = RunnerRecipe(PPO, trial.config, trial.trainer.shapes, shard, False)()
    assert runner.envs.obs_dtype == np.float64
    runner.close()


def test_without_normalisation_observations_are_what_networks_take() -> None:
    trial = small_trial(env=Clock)
    assert trial.group.sample(4)["obs"].dtype == torch.float32


def test_several_agents_are_normalised_too() -> None:
    spec = MultiAgentSpec("clocks", {"all": PolicySpec(PPO)}, "shared")
    group = {"n_steps": 20, "batch_size": 20, "n_epochs": 1, "normalize_observation": True}
    config = {"algorithm": "clocks", "env": Clocks, "budget_env_steps": 80, "compile": "off",
              "hyperparameters": {"n_envs": 2, "all": group}}  # fmt: skip
    trial = Trial(spec, TrialConfig.parse(config, "the test"))
    trial.source.runner.sample(20)
    assert values(trial.source.runner.sample(20)["all"]["obs"]) >= 9
    trial.advance()


def test_rows_that_were_stored_as_float32_still_load() -> None:
    def buffer(dtype: torch.dtype) -> ReplayBuffer:
        return ReplayBuffer({"obs": Entry((2,), dtype), "next_obs": Entry((2,), dtype)}, 1, 10)

    old, new = buffer(torch.float32), buffer(torch.float64)
    obs = torch.rand(1, 3, 2)
    old.add({"obs": obs, "next_obs": obs}, torch.ones(1, 3, dtype=torch.bool))
    new.load_state_dict(old.state_dict())
    assert torch.equal(new.state_dict()["columns"]["obs"][0], obs[0].double())
