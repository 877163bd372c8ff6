"""Accepted forms of an environment, and the errors for others."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from tests.envs.counting import NATIVE, Counting, OddSpaces
from tuneexp.envs.env_factory import describe_env
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import UserError

SOURCE = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Line(gymnasium.Env):
    def __init__(self, size=2):
        self.observation_space, self.action_space = Box(-1, 1, (size,), np.float32), Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action):
        return np.ones(self.observation_space.shape, np.float32), 1.0, False, False, {}


NOT_AN_ENV = 3
"""


@pytest.fixture
def line_file(tmp_path: Path) -> Path:
    path = tmp_path / "line.py"
    path.write_text(SOURCE)
    return path


def refused(env: Any, kwargs: dict[str, Any] | None = None) -> str:
    """The error message, checked to be the same in both functions."""
    with pytest.raises(UserError) as described:
        describe_env(env, kwargs)
    with pytest.raises(UserError) as built:
        SeedEnvs(env, [0], 1, kwargs)
    assert str(described.value) == str(built.value)
    assert len(str(built.value).splitlines()) <= 2
    return str(built.value)


def test_an_environment_comes_from_a_file(line_file: Path) -> None:
    observation, action = describe_env(f"{line_file}:Line", {"size": 5})
    assert observation.shape == (5,)
    assert action == Discrete(3)
    envs = SeedEnvs(f"{line_file}:Line", [0, 1], 2)
    envs.reset()
    assert envs.step(np.zeros((2, 2), np.int64)).obs.sum() == 8


def test_an_environment_comes_from_a_module(line_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(line_file.parent)
    assert describe_env("line:Line")[1] == Discrete(3)
    assert "did you mean line:Line?" in refused("line:Lin")


def test_an_environment_comes_from_a_module_that_registers_an_id() -> None:
    assert describe_env("gymnasium.envs.classic_control:Pendulum-v1")[0].shape == (3,)
    envs = SeedEnvs("gymnasium.envs.classic_control:Pendulum-v1", [0], 1, {"max_episode_steps": 2})
    envs.reset()
    flags = [envs.step(np.zeros((1, 1, 1), np.float32)).truncated.all() for _ in range(2)]
    assert flags == [False, True]


def test_a_native_environment_is_described_as_it_will_be_built() -> None:
    """The single environment of this id has other observations, as with Atari."""
    assert describe_env(NATIVE)[0].shape == (3,)
    assert describe_env(NATIVE)[0] == SeedEnvs(NATIVE, [0], 1).observation_space
    single = describe_env(NATIVE, backend="sync")[0]
    assert single.shape == (2,)
    assert single == SeedEnvs(NATIVE, [0], 1, backend="sync").observation_space


def test_what_an_id_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in ("ale_py", "Box2D"):
        monkeypatch.setitem(sys.modules, missing, None)  # the import fails, installed or not
    assert "pip install 'tuneexp[atari]'" in refused("ALE/Pong-v5")
    assert "pip install 'tuneexp[box2d]'" in refused("LunarLander-v3")


def test_an_environment_comes_from_a_callable() -> None:
    assert describe_env(Counting)[1] == Discrete(2)
    assert describe_env(partial(Counting, length=4))[0].shape == (2,)


def test_an_unknown_id_is_answered_with_the_nearest() -> None:
    assert "'CartPole-v1'" in refused("Cartpole-v1")
    assert "'Pendulum-v1'" in refused("Pendulun-v1")
    assert refused("nothing like it").startswith("unknown environment 'nothing like it'\n")


def test_a_file_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    assert "no file" in refused(f"{tmp_path}/absent.py:Line")
    (tmp_path / "broken.py").write_text("1 / 0")
    assert "ZeroDivisionError" in refused(f"{tmp_path}/broken.py:Line")
    assert "no_such_module can't be imported" in refused("no_such_module:Line")


def test_what_gives_no_environment_is_refused(line_file: Path) -> None:
    assert "is a int; name a class of gymnasium.Env" in refused(f"{line_file}:NOT_AN_ENV")
    assert "must give a gymnasium.Env" in refused(dict)
    assert "or a callable, got 7" in refused(7)


def test_a_wrong_keyword_is_reported_with_its_reason() -> None:
    assert "unexpected keyword argument 'gravitas'" in refused(Counting, {"gravitas": 1})
    for env in ("CartPole-v1", "Pendulum-v1"):
        with pytest.raises(UserError, match="'gravitas'"):
            SeedEnvs(env, [0], 1, {"gravitas": 1})


@pytest.mark.parametrize(("what", "space"), [("observation", "text"), ("action", "text"), ("action", "dict")])
def test_unsupported_spaces_are_answered_with_the_supported_ones(what: str, space: str) -> None:
    message = refused(OddSpaces, {what: space})
    assert f"{what} space {'Dict' if space == 'dict' else 'Text'} is not supported" in message
    assert ("Box, Discrete and Dict" if what == "observation" else "Discrete, MultiDiscrete and Box") in message


@pytest.mark.parametrize("seeds", [[], [-1], [1, 1], [0.5], [True]])
def test_seeds_must_be_distinct_non_negative_integers(seeds: list[Any]) -> None:
    with pytest.raises(UserError, match="seed"):
        SeedEnvs("CartPole-v1", seeds, 1)


def test_counts_and_backends_are_checked() -> None:
    with pytest.raises(UserError, match="n_envs"):
        SeedEnvs("CartPole-v1", [0], 0)
    with pytest.raises(UserError, match="'async'"):
        SeedEnvs("CartPole-v1", [0], 1, backend="asinc")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no vector environment"):
        SeedEnvs("Pendulum-v1", [0], 1, backend="native")


def test_discrete_values_count_from_zero_on_both_sides() -> None:
    envs = SeedEnvs(OddSpaces, [0, 1], 2, {"start": -3})
    assert (envs.observation_space, envs.action_space) == (Discrete(4), MultiDiscrete([2, 3]))
    assert describe_env(OddSpaces, {"start": -3}) == (Discrete(4), MultiDiscrete([2, 3]))
    obs = [envs.reset()]
    action = np.array([[[0, 0], [1, 2]], [[1, 0], [0, 1]]])
    obs += [envs.step(action).obs for _ in range(20)]
    assert set(np.stack(obs).ravel().tolist()) == {0, 1, 2, 3}
    sent = np.stack([env.unwrapped.seen[0] for env in envs._vec.envs])  # type: ignore[attr-defined]
    assert np.array_equal(sent, action.reshape(4, 2) - 3)


def test_box_actions_are_clipped_to_their_bounds() -> None:
    envs = SeedEnvs(OddSpaces, [0], 2, {"action": "wide box"})
    envs.reset()
    envs.step(np.array([[[-5.0, 7.0], [3.0, -2.5]]]))
    sent = np.stack([env.unwrapped.seen[0] for env in envs._vec.envs])  # type: ignore[attr-defined]
    assert np.array_equal(sent, np.array([[-2, 7], [1, -2]], np.float32))
    assert sent.dtype == np.float32


@pytest.mark.parametrize("action", [2, -1])
def test_a_discrete_action_out_of_range_is_refused(action: int) -> None:
    envs = SeedEnvs("CartPole-v1", [0], 2)
    envs.reset()
    with pytest.raises(ValueError, match=re.escape("Discrete(2)")):
        envs.step(np.full((1, 2), action))


def test_observation_types_are_float32_or_the_spaces_own() -> None:
    assert SeedEnvs(Counting, [0], 1).reset().dtype == np.float32  # its space is float64
    bytes_env = SeedEnvs(OddSpaces, [0], 3, {"observation": "bytes"})
    assert isinstance(bytes_env.observation_space, Box)
    assert bytes_env.reset().dtype == np.uint8
    assert bytes_env.reset().shape == (1, 3, 2, 2)
    assert SeedEnvs(OddSpaces, [0], 3).reset().shape == (1, 3)
