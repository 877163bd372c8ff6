"""Wrappers by name are applied in order to every environment; action masks become part of the observation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from tests.envs.counting import Counting
from tuneexp.envs.env_factory import describe_env, resolve
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import EnvironmentFault, UserError

OWN = """
import gymnasium

class AddTo(gymnasium.RewardWrapper):
    def __init__(self, env, amount=1.0):
        super().__init__(env)
        self.amount = amount

    def reward(self, reward):
        return reward + self.amount
"""


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    path = tmp_path / "own_wrappers.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize("backend", ["sync", "async"])
def test_wrappers_are_applied_in_order(own_file: Path, backend: str) -> None:
    add = f"{own_file}:AddTo"
    clip = {"ClipReward": {"min_reward": 0, "max_reward": 2.5}}
    for wrappers, rewards in (
        ([clip, {add: {"amount": 5}}], [6, 7, 7.5]),
        ([{add: {"amount": 1}}, clip], [2, 2.5, 2.5]),
    ):
        envs = SeedEnvs(Counting, [0], 2, backend=backend, wrappers=wrappers)  # type: ignore[arg-type]
        try:
            envs.reset()
            got = [envs.step(np.zeros((1, 2), np.int64)).reward[0].tolist() for _ in range(3)]
        finally:
            envs.close()
        assert got == [[r, r] for r in rewards]


def test_a_wrapper_shapes_what_is_described_and_given() -> None:
    stack = [{"FrameStackObservation": {"stack_size": 4}}]
    assert describe_env(Counting, None, stack)[0].shape == (4, 2)
    envs = SeedEnvs(Counting, [0, 1], 3, wrappers=stack)
    assert envs.reset().shape == (2, 3, 4, 2)
    seen = envs.step(np.zeros((2, 3), np.int64)).obs
    assert seen[0, 0].tolist() == [[0, 0], [0, 0], [0, 0], [0, 1]]


def test_wrappers_take_the_place_of_a_native_environment() -> None:
    assert resolve("CartPole-v1").has_native
    assert not resolve("CartPole-v1", None, ["ClipReward"]).has_native
    wrapped = SeedEnvs("CartPole-v1", [3], 2, wrappers=[{"TimeLimit": {"max_episode_steps": 2}}])
    wrapped.reset()
    assert [wrapped.step(np.zeros((1, 2), np.int64)).truncated.all() for _ in range(2)] == [False, True]
    with pytest.raises(UserError, match="wrappers"):
        SeedEnvs("CartPole-v1", [3], 2, backend="native", wrappers=[{"TimeLimit": {"max_episode_steps": 2}}])


@pytest.mark.parametrize(
    ("wrappers", "message"),
    [
        (["ClipRewards"], "'ClipReward'"),
        (["Actionmask"], "'ActionMask'"),
        ([{"FrameStackObservation": {"size": 4}}], "its arguments: stack_size, padding_type='reset'"),
        (["FrameStackObservation"], "its arguments: stack_size"),
        (["NormalizeObservation"], "set normalize_observation=true of the algorithm"),
        (["tests.envs.counting:Absent"], "has no 'Absent'"),
        (["tests.envs.counting:NATIVE"], "is a str; name a class of gymnasium.Wrapper"),
        ([3], "wrapper 3 is neither a name"),
        ("ClipReward", "wrappers is a list"),
        ([{"ActionMask": {}, "ClipReward": {}}], "is neither a name"),
    ],
)
def test_what_is_no_wrapper_is_answered_with_what_to_write(wrappers: Any, message: str) -> None:
    with pytest.raises(UserError) as refused:
        describe_env(Counting, None, wrappers)
    assert message in str(refused.value)
    with pytest.raises(UserError) as built:
        SeedEnvs(Counting, [0], 1, wrappers=wrappers)
    assert str(built.value) == str(refused.value)


class Masked(Counting):
    """Allows only action step % 3, by `info` or by a method. The final step of an episode has no mask."""

    def __init__(self, allow_nothing: bool = False, actions: Any = None) -> None:
        super().__init__(length=4)
        self.action_space = actions or Discrete(3)
        self.allow_nothing = allow_nothing

    def mask(self) -> np.ndarray:
        size = self.action_space.n if isinstance(self.action_space, Discrete) else self.action_space.nvec.sum()
        return (np.arange(size) == self.step_in_episode % 3) & (not self.allow_nothing)


class MaskInInfo(Masked):
    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        return super().reset(**kwargs)[0], {"action_mask": self.mask().astype(np.int8)}

    def step(self, action: Any) -> Any:
        *rest, terminated, truncated, _ = super().step(action)
        return *rest, terminated, truncated, {} if terminated else {"action_mask": self.mask()}


class MaskByMethod(Masked):
    def action_masks(self) -> np.ndarray:
        return self.mask()


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
@pytest.mark.parametrize("env", [MaskInInfo, MaskByMethod])
def test_masks_come_with_the_observation_they_belong_to(env: type, mode: str) -> None:
    envs = SeedEnvs(env, [0, 1], 2, autoreset=mode, wrappers=["ActionMask"])  # type: ignore[arg-type]
    assert isinstance(envs.observation_space, Dict)
    assert list(envs.observation_space) == ["action_mask", "observation"]
    obs = envs.reset()
    for _ in range(20):
        allowed, steps = obs[..., :3], obs[..., 4]
        unended = ~envs.resets_next
        assert np.array_equal(allowed[unended], np.eye(3)[steps[unended].astype(int) % 3])
        step = envs.step(obs[..., :3].argmax(-1))
        ends = step.terminated & (env is MaskInInfo)
        assert (step.next_obs[ends][:, :3] == 1).all()
        obs = step.obs


def test_the_mask_of_a_taxi_is_the_one_it_gives() -> None:
    envs = SeedEnvs("Taxi-v4", [0], 2, wrappers=["ActionMask"])
    obs = envs.reset()
    for _ in range(5):
        taxis = [env.unwrapped for env in envs._vec.envs]  # type: ignore[attr-defined]
        assert obs[0, :, :6].tolist() == [taxi.action_mask(taxi.s).tolist() for taxi in taxis]
        assert obs[0, :, 6].tolist() == [taxi.s for taxi in taxis]
        obs = envs.step(obs[..., :6].argmax(-1)).obs


def test_multi_discrete_masks_lie_one_after_another() -> None:
    envs = SeedEnvs(MaskByMethod, [0], 1, {"actions": MultiDiscrete([3, 2])}, wrappers=["ActionMask"])
    assert envs.observation_space["action_mask"].shape == (5,)  # type: ignore[index]
    assert envs.reset()[0, 0, :5].tolist() == [1, 0, 0, 0, 0]


def test_an_environment_without_a_sound_mask_is_reported() -> None:
    with pytest.raises(EnvironmentFault, match=r"info\['action_mask'\]"):
        SeedEnvs(Counting, [0], 1, wrappers=["ActionMask"]).reset()
    with pytest.raises(EnvironmentFault, match="no action"):
        SeedEnvs(MaskByMethod, [0], 1, {"allow_nothing": True}, wrappers=["ActionMask"]).reset()
    with pytest.raises(UserError, match="Discrete or MultiDiscrete"):
        SeedEnvs("Pendulum-v1", [0], 1, wrappers=["ActionMask"])
    wrong = SeedEnvs(MaskByMethod, [0], 1, {"actions": Discrete(3)}, wrappers=["ActionMask"])
    wrong._vec.envs[0].unwrapped.mask = lambda: np.ones(2)  # type: ignore[attr-defined]
    with pytest.raises(EnvironmentFault, match=r"2 entries.* 3 "):
        wrong.reset()


def test_masked_observations_may_be_of_any_supported_space() -> None:
    assert isinstance(describe_env(MaskByMethod, None, ["ActionMask"])[0]["observation"], Box)  # type: ignore[index]
