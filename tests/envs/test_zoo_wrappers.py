"""Wrappers of RL Zoo's configurations, by hand-computed values."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from tests.envs.counting import Counting
from tuneexp.envs.env_factory import describe_env, resolve
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.envs.zoo_wrappers import _coverage
from tuneexp.errors import UserError


class Line(gymnasium.Env[Any, Any]):
    """Observation [step, 10 * step], reward = step; 5 steps per episode; one Box action."""

    observation_space = Box(-100.0, 100.0, (2,), np.float32)
    action_space = Box(-2.0, 2.0, (1,), np.float32)

    def reset(self, **kwargs: Any) -> Any:
        self.time = 1
        return np.array([1, 10], np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return np.array([self.time, 10 * self.time], np.float32), float(self.time), self.time == 6, False, {}


class Picture(Line):
    """A grey image of 96 x 96 with one channel whose value is the time."""

    observation_space = Box(0, 255, (96, 96, 1), np.uint8)

    def reset(self, **kwargs: Any) -> Any:
        super().reset()
        return np.full((96, 96, 1), 1, np.uint8), {}

    def step(self, action: Any) -> Any:
        _, *rest = super().step(action)
        return np.full((96, 96, 1), self.time, np.uint8), *rest


def wrapped(env: Any, *wrappers: Any) -> Any:
    return resolve(env, None, wrappers).make()


def test_frames_are_skipped_and_their_rewards_summed() -> None:
    env = wrapped(Line, {"FrameSkip": {"skip": 3}})
    env.reset()
    obs, reward, terminated, *_ = env.step(np.zeros(1, np.float32))
    assert (obs.tolist(), reward, terminated) == ([4, 40], 2 + 3 + 4, False)
    assert env.step(np.zeros(1, np.float32))[1:3] == (5 + 6, True)  # the episode's end is not stepped over


def test_a_history_holds_the_newest_observations_and_actions_last() -> None:
    env = wrapped(Line, {"HistoryWrapper": {"horizon": 2}})
    assert env.observation_space.shape == (6,)
    assert env.observation_space.high.tolist() == [100, 100, 100, 100, 2, 2]
    assert env.reset()[0].tolist() == [0, 0, 1, 10, 0, 0]
    assert env.step(np.array([0.5], np.float32))[0].tolist() == [1, 10, 2, 20, 0, 0.5]
    kept = env.step(np.array([1.5], np.float32))[0]
    assert kept.tolist() == [2, 20, 3, 30, 0.5, 1.5]
    assert env.reset()[0].tolist() == [0, 0, 1, 10, 0, 0]
    assert kept.tolist() == [2, 20, 3, 30, 0.5, 1.5]
    assert env.observation_space.contains(kept)


@pytest.mark.parametrize(
    ("name", "hidden"), [("CartPole-v1", [1, 3]), ("Pendulum-v1", [2]), ("MountainCarContinuous-v0", [1])]
)
def test_velocities_are_hidden(name: str, hidden: list[int]) -> None:
    masked, plain = wrapped(name, "MaskVelocityWrapper"), wrapped(name)
    masked.reset(seed=3)
    plain.reset(seed=3)
    action = plain.action_space.sample()
    seen, full = masked.step(action)[0], plain.step(action)[0]
    assert np.flatnonzero(seen != full).tolist() == hidden
    assert not seen[hidden].any()


def test_the_time_that_is_left_is_the_last_number() -> None:
    env = wrapped(Line, {"TimeFeatureWrapper": {"max_steps": 5}})
    assert env.reset()[0].tolist() == [1, 10, 1]
    assert env.step(np.zeros(1, np.float32))[0].tolist() == pytest.approx([2, 20, 0.8])
    left = wrapped("Pendulum-v1", "TimeFeatureWrapper")
    left.reset(seed=0)
    assert left.step(np.zeros(1, np.float32))[0][-1] == pytest.approx(1 - 1 / 200)


def test_frames_are_stacked_along_the_channels() -> None:
    env = wrapped(Line, {"FrameStack": {"n_stack": 2}})
    assert env.reset()[0].tolist() == [0, 0, 1, 10]
    assert env.step(np.zeros(1, np.float32))[0].tolist() == [1, 10, 2, 20]
    image = wrapped(Picture, {"AreaResize": {"shape": [64, 64]}}, {"FrameStack": {"n_stack": 2}})
    image.reset()
    stacked = image.step(np.zeros(1, np.float32))[0]
    assert (stacked.shape, stacked.dtype) == ((64, 64, 2), np.uint8)
    assert stacked[5, 7].tolist() == [1, 2]


def test_images_shrink_by_the_share_that_old_pixels_have_in_new_ones() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(3, 3) * 20  # 3 x 3 -> 2 x 2: each new pixel spans 1.5 old ones
    made = wrapped(Picture, {"AreaResize": {"shape": [64, 64]}})
    shares = _coverage(3, 2)
    assert shares.tolist() == [pytest.approx([2 / 3, 1 / 3, 0]), pytest.approx([0, 1 / 3, 2 / 3])]
    corner = (4 * image[0, 0] + 2 * image[0, 1] + 2 * image[1, 0] + image[1, 1]) / 9
    assert (shares @ image @ shares.T)[0, 0] == pytest.approx(corner)
    made.reset()
    assert (made.step(np.zeros(1, np.float32))[0] == 2).all()


@pytest.mark.parametrize(
    ("env", "wrapper", "message"),
    [
        (Counting, {"HistoryWrapper": {"horizon": 2}}, "Box actions"),
        (Line, "MaskVelocityWrapper", "supports"),
        (Picture, "TimeFeatureWrapper", "Box observations .* 1 axis"),
        (Line, {"AreaResize": {"shape": [4, 4]}}, "uint8"),
        (Line, {"FrameSkip": {"skip": 0}}, "at least 1"),
        (Line, {"FrameStacks": {"n_stack": 2}}, "'FrameStack'"),
    ],
)
def test_what_a_wrapper_cannot_wrap_is_reported(env: Any, wrapper: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        describe_env(env, None, [wrapper])


def test_wrappers_without_a_state_leave_checkpoints_exact() -> None:
    envs = SeedEnvs("Pendulum-v1", [0], 2, wrappers=["MaskVelocityWrapper", {"FrameSkip": {"skip": 2}}])
    try:
        envs.reset()
        assert envs.get_state() is not None
    finally:
        envs.close()
