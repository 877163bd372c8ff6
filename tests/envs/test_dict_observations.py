"""Every backend packs dictionary observations into one array without loss."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tuneexp.envs.env_factory import describe_env
from tuneexp.envs.normalise import Learned, RunningNormaliser
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import EnvironmentFault, UserError
from tuneexp.spaces.packing import layout

MODES = ("next_step", "same_step", "disabled")


class Robot(gymnasium.Env[dict[str, Any], Any]):
    """Every kind of leaf, each with (episode, step); four steps per episode."""

    def __init__(self, broken_at: int | None = None) -> None:
        self.observation_space = Dict(
            {
                "tool": Discrete(9, start=-4),
                "arm": Dict({"joints": Box(-1, 1e3, (2, 3), np.float64), "force": Box(0, 1e3, (), np.float32)}),
                "camera": Box(0, 255, (2, 2, 1), np.uint8),
                "buttons": MultiBinary(3),
                "dials": MultiDiscrete([5, 6], start=[10, 20]),
            }
        )
        self.action_space = Discrete(2)
        self.episode, self.steps, self.broken_at = -1, 0, broken_at

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        return self._obs(), {}

    def step(self, action: Any) -> tuple[dict, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self._obs(), float(self.steps), self.steps == 4, False, {}

    def _obs(self) -> dict[str, Any]:
        force = np.nan if self.steps == self.broken_at else self.episode
        return {
            "tool": np.int64(self.steps - 4),
            "arm": {"joints": np.arange(6.0).reshape(2, 3) + self.episode, "force": np.array(force, np.float32)},
            "camera": np.full((2, 2, 1), 100 + self.steps, np.uint8),
            "buttons": np.array([1, 0, self.steps % 2], np.int8),
            "dials": np.array([10 + self.steps, 20 + self.episode % 6]),
        }


def expected(episode: int, step: int) -> list[float]:
    """Leaves in sorted order: arm/force, arm/joints, buttons, camera, dials, tool; choices count from 0."""
    joints = (np.arange(6.0) + episode).tolist()
    return [episode, *joints, 1, 0, step % 2, *[100 + step] * 4, step, episode % 6, step]


class RobotVec(SyncVectorEnv):
    """Native vector environment with dictionary observations."""

    def __init__(self, num_envs: int = 1, mode: str = "next_step") -> None:
        super().__init__([Robot] * num_envs, autoreset_mode=AutoresetMode[mode.upper()])


ROBOT = "tuneexp-test/Robot-v0"
if ROBOT not in gymnasium.registry:
    gymnasium.register(ROBOT, Robot, vector_entry_point=RobotVec)


def build(backend: str, mode: str, seeds: list[int], n_envs: int) -> SeedEnvs:
    if backend == "native":
        return SeedEnvs(ROBOT, seeds, n_envs, {"mode": mode}, "native")
    return SeedEnvs(Robot, seeds, n_envs, backend=backend, autoreset=mode)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backend", "mode"),
    [*[("sync", mode) for mode in MODES], *[("native", mode) for mode in MODES], ("async", "same_step")],
)
def test_true_transitions_are_packed_by_every_backend(backend: str, mode: str) -> None:
    envs = build(backend, mode, [0, 1], 2)
    try:
        obs, transitions = envs.reset(), 0
        assert (obs.shape, obs.dtype, envs.obs_shape, envs.obs_dtype) == ((2, 2, 17), np.float32, (17,), np.float32)
        for _ in range(15):
            step = envs.step(np.zeros((2, 2), np.int64))
            for row in np.argwhere(step.valid):
                before, after = obs[tuple(row)], step.next_obs[tuple(row)]
                episode, steps = transitions // 4, transitions % 4
                assert before.tolist() == expected(episode, steps)
                assert after.tolist() == expected(episode, steps + 1)
            transitions += int(step.valid.all())
            assert step.valid.all() or not step.valid.any()
            obs = step.obs
        assert transitions == (12 if mode == "next_step" else 15)
    finally:
        envs.close()


def test_the_space_stays_a_dict_that_defines_where_its_leaves_lie() -> None:
    envs = SeedEnvs(Robot, [0], 1)
    space = envs.observation_space
    assert isinstance(space, Dict)
    assert space == describe_env(Robot)[0]
    assert space["tool"] == Discrete(9)
    packed = envs.reset()[0, 0]
    by_name = {leaf.name: packed[leaf.start : leaf.start + leaf.size].reshape(leaf.shape) for leaf in layout(space)}
    assert by_name["arm/joints"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert by_name["dials"].tolist() == [0, 0]


class Bytes(Robot):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = Dict({"camera": Box(0, 255, (2, 2, 1), np.uint8), "mask": MultiBinary(2)})

    def _obs(self) -> dict[str, Any]:
        return {"camera": np.full((2, 2, 1), 250, np.uint8), "mask": np.array([0, 1], np.int8)}


def test_images_with_masks_stay_bytes() -> None:
    obs = SeedEnvs(Bytes, [0], 2).reset()
    assert obs.dtype == np.uint8
    assert obs[0, 1].tolist() == [250, 250, 250, 250, 0, 1]


def test_a_nan_in_a_leaf_is_a_fault_of_its_environment() -> None:
    envs = SeedEnvs(partial(Robot, broken_at=2), [7], 1)
    envs.reset()
    envs.step(np.zeros((1, 1), np.int64))
    with pytest.raises(EnvironmentFault, match=r"seed 7, index 0.*not finite"):
        envs.step(np.zeros((1, 1), np.int64))


def test_only_floating_point_leaves_are_normalised() -> None:
    envs = SeedEnvs(Robot, [0, 1], 4)
    normaliser = RunningNormaliser(2, envs.observation_space)
    seen = [envs.reset(), *(envs.step(np.zeros((2, 4), np.int64)).obs for _ in range(30))]
    normaliser.learn(Learned(normaliser.moments(np.stack(seen), np.ones((31, 2, 4), np.bool_)), None))
    obs = seen[-1]
    scaled = normaliser.normalise(obs)
    assert np.array_equal(scaled[..., 7:], obs[..., 7:])
    episodes = np.repeat(np.arange(7), 5)[:31]  # what arm/force was at the 31 observations
    assert scaled[0, 0, 0] == pytest.approx((episodes[-1] - episodes.mean()) / episodes.std(), abs=1e-3)
    assert normaliser.normalise(obs[:, None]).shape == (2, 1, 4, 17)
    with pytest.raises(UserError, match="Dict can't"):
        RunningNormaliser(1, SeedEnvs(Bytes, [0], 1).observation_space)
    with pytest.raises(UserError, match="images can't"):
        RunningNormaliser(1, Box(0, 255, (4, 84, 84), np.uint8))


def test_a_leaf_that_cannot_be_packed_is_named() -> None:
    class Talks(Robot):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = Dict({"said": gymnasium.spaces.Text(3)})

    with pytest.raises(UserError, match="'said'"):
        SeedEnvs(Talks, [0], 1)
