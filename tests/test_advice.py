"""What an error advises is taken here, as it is written, and works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium import spaces

from tests.small import small_config
from tuneexp.algorithms.fit import check_environment
from tuneexp.algorithms.registry import ALGORITHMS, load_algorithm
from tuneexp.algorithms.rl_zoo import INSTEAD
from tuneexp.envs.sources import describe_env
from tuneexp.errors import UserError
from tuneexp.trial import Trial

BOX = spaces.Box(0.0, 1.0, (2,))
MINE = """
import gymnasium
import numpy as np
from gymnasium import spaces

class Padded(gymnasium.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.observation_space = spaces.Box(0.0, 1.0, (4,))
    def observation(self, observation):
        return np.zeros(4, np.float32)

class Bits(gymnasium.ActionWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.MultiDiscrete([2, 2, 2])
    def action(self, action):
        return np.asarray(action, np.int8)

class Choice(gymnasium.ActionWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.Discrete(2)
    def action(self, action):
        return {"a": int(action)}

class Bounded(gymnasium.ActionWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.Box(-2.0, 2.0, env.action_space.shape)
    def action(self, action):
        return action
"""


class OfSpaces(gymnasium.Env[Any, Any]):
    """Of any spaces; an action that isn't in its space is an error."""

    def __init__(self, observation: spaces.Space[Any], action: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "my_file.py").write_text(MINE)
    return tmp_path / "my_file.py"


FLAT = "FlattenObservation"
FILTER = {"FilterObservation": {"filter_keys": ["b"]}}
DISCRETE = spaces.Discrete(2)


@pytest.mark.parametrize(
    ("observation", "action", "advice", "wrapper"),
    [
        (spaces.Tuple((DISCRETE, BOX)), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.MultiBinary(3), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.MultiDiscrete([2, 3]), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.Text(4), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.OneOf((DISCRETE, BOX)), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.Dict(a=spaces.Tuple((DISCRETE,)), b=BOX), DISCRETE, "--wrapper FlattenObservation", FLAT),
        (spaces.Dict(a=spaces.Sequence(DISCRETE), b=BOX), DISCRETE, "FilterObservation={", FILTER),
        (spaces.Graph(BOX, None), DISCRETE, "ObservationWrapper", "Padded"),
        (spaces.Sequence(DISCRETE), DISCRETE, "ObservationWrapper", "Padded"),
        (spaces.Tuple((DISCRETE, spaces.Sequence(BOX))), DISCRETE, "ObservationWrapper", "Padded"),
        (BOX, spaces.MultiBinary(3), "offers MultiDiscrete([2 2 2])", "Bits"),
        (BOX, spaces.Dict(a=DISCRETE), "ActionWrapper", "Choice"),
    ],
    ids=str,
)
def test_a_space_that_is_not_supported_is_wrapped_as_told(
    mine: Path, observation: spaces.Space[Any], action: spaces.Space[Any], advice: str, wrapper: Any
) -> None:
    def make() -> gymnasium.Env[Any, Any]:
        return OfSpaces(observation, action)

    with pytest.raises(UserError) as told:
        describe_env(make, {}, [], "auto")
    assert advice in str(told.value)
    wrapped = [f"{mine}:{wrapper}"] if isinstance(wrapper, str) and wrapper != FLAT else [wrapper]
    trial = Trial(load_algorithm("ppo"), small_config([0], env=make, wrappers=wrapped))
    trial._training_step()
    trial.close()


def test_unbounded_actions_get_bounds_or_another_algorithm_as_told(mine: Path) -> None:
    def make() -> gymnasium.Env[Any, Any]:
        return OfSpaces(BOX, spaces.Box(-float("inf"), float("inf"), (2,)))

    small = {"learning_starts": 4, "batch_size": 4, "n_envs": 1}
    of_sac: dict[str, Any] = {"hyperparameters": {**small, "model": {"hidden_sizes": [8]}}, "algorithm": "sac"}
    with pytest.raises(UserError, match=r"ppo or a2c.*finite bounds .--wrapper my_file.py:Class"):
        Trial(load_algorithm("sac"), small_config([0], env=make, **of_sac))
    for name, wrappers, changes in (("sac", [f"{mine}:Bounded"], of_sac), ("ppo", [], {})):
        trial = Trial(load_algorithm(name), small_config([0], env=make, wrappers=wrappers, **changes))
        trial._training_step()
        trial.close()


# What INSTEAD and the other messages of pasted hyperparameters tell to write, by the algorithms that they name.
EVERY = tuple(ALGORITHMS)
OFF_POLICY = ("dqn", "qrdqn", "sac", "td3", "ddpg", "tqc")
TAKEN: list[tuple[dict[str, Any], tuple[str, ...], str, dict[str, Any]]] = [
    ({"policy_kwargs": "dict(log_std_init=-2)"}, EVERY, "model/hidden_sizes=[256,256]",
     {"model": {"hidden_sizes": [256, 256], "activation": "relu"}}),
    ({"action_noise": "NormalActionNoise"}, ("td3", "ddpg"), "noise_std=0.1", {"noise_std": 0.1}),
    ({"replay_buffer_class": "HerReplayBuffer"}, ("dqn", "sac", "td3"), "prioritized=true", {"prioritized": True}),
    ({"policy": "MlpLstmPolicy"}, ("ppo", "a2c", "appo", "impala"), "model/recurrent=lstm",
     {"model": {"recurrent": "lstm"}, "sequence_length": 8, "n_steps": 64}),
    ({"policy": "CnnLstmPolicy"}, ("sac",), "use ppo, a2c, appo or impala with model/recurrent=lstm", {}),
    ({"train_freq": [1, "episode"]}, OFF_POLICY, "train_freq=1 gradient_steps=1",
     {"train_freq": 1, "gradient_steps": 1}),
    ({"normalize": "{'norm_obs': True}"}, EVERY, "normalize_observation and normalize_reward",
     {"normalize_observation": True, "normalize_reward": True}),
    ({"use_sde": True}, EVERY, "use_sde=false", {"use_sde": False}),
    ({"noise_type": "ornstein-uhlenbeck", "noise_std": 0.1}, ("td3", "ddpg"), "noise_type=normal",
     {"noise_type": "normal", "noise_std": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("pasted", "algorithms", "advice", "taken"), TAKEN, ids=[str(row[0]) for row in TAKEN])
def test_what_a_pasted_hyperparameter_is_told_to_be_is_accepted(
    pasted: dict[str, Any], algorithms: tuple[str, ...], advice: str, taken: dict[str, Any]
) -> None:
    for name in algorithms:
        config_class = load_algorithm(name).config_class
        with pytest.raises(UserError, match=re.escape(advice)):
            config_class.parse(pasted, name)
        config_class.parse(taken, name)


def test_no_advice_names_a_setting_that_an_algorithm_lacks() -> None:
    """`log_std_init` and `ortho_init` are of policies that sample from a Gaussian of fixed width."""
    assert "log_std_init" not in INSTEAD["policy_kwargs"]
    with pytest.raises(UserError) as told:
        load_algorithm("sac").config_class.parse({"model": {"log_std_init": -2}}, "sac")
    assert "did you mean" not in str(told.value)


def test_algorithms_that_are_said_to_fit_do() -> None:
    for env, name in (("CartPole-v1", "td3"), ("Pendulum-v1", "dqn")):
        with pytest.raises(UserError) as told:
            check_environment(load_algorithm(name), env, {}, [], "auto")
        for fitting in str(told.value).rpartition("fit it: ")[2].split(", "):
            check_environment(load_algorithm(fitting), env, {}, [], "auto")
