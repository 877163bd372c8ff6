"""Tensor environments of a user: episodes, limits, dictionaries, devices, errors."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from tests.device import OnDevice, second_device
from tests.envs.tensor.programs import Counting, Mixed
from tuneexp.envs.env_factory import describe_env, resolve
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import EnvironmentFault, UserError

__all__ = ["second_device"]

HERE = "tests.envs.tensor.programs"


def roll(envs: SeedEnvs, steps: int) -> Any:
    """Returns the observations that were acted on, [T, S, N, ...], and the steps."""
    seen, results = [envs.reset()], []
    random = np.random.default_rng(0)
    for _ in range(steps):
        lead = (envs.n_seeds, envs.n_envs)
        space: Any = envs.action_space
        results.append(envs.step(random.integers(0, getattr(space, "n", 2), (*lead, *(space.shape or ())))))
        seen.append(results[-1].obs)
    return np.stack(seen[:-1]), results


def test_an_episode_ends_within_a_step_that_starts_the_next_one() -> None:
    seen, steps = roll(SeedEnvs(Counting, [0, 5], 2), 9)
    assert [step.terminated.all() for step in steps] == [False, False, True] * 3
    assert not any(step.truncated.any() for step in steps)
    assert all(step.valid.all() for step in steps)
    for before, step in zip(seen, steps, strict=True):
        assert np.array_equal(before[..., 0], step.next_obs[..., 0])  # the same episode
        assert np.array_equal(before[..., 1] + 1, step.next_obs[..., 1])
        assert np.array_equal(step.reward, step.next_obs[..., 1])
    assert (steps[2].obs[..., 1] == 0).all()
    assert len(np.unique(seen[::3, ..., 0])) == 12  # each episode starts by a draw of its own


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_an_episode_is_truncated_at_the_limit_also_where_it_is_terminated(limit: int) -> None:
    _, steps = roll(SeedEnvs(Counting, [0], 2, {"max_episode_steps": limit}), 6)
    assert [bool(step.truncated.all()) for step in steps] == [(t + 1) % limit == 0 for t in range(6)]
    assert [bool(step.terminated.any()) for step in steps] == [limit == 3 and t % 3 == 2 for t in range(6)]


def test_numbers_are_set_by_env_kwargs() -> None:
    _, steps = roll(SeedEnvs(Counting, [0], 1, {"length": 2}), 4)
    assert [bool(step.terminated.all()) for step in steps] == [False, True] * 2
    _, steps = roll(SeedEnvs(f"{HERE}:made", [0], 1, {"length": 2}, backend="tensor"), 4)
    assert [bool(step.terminated.all()) for step in steps] == [False, True] * 2


def test_dictionaries_maps_and_several_actions() -> None:
    envs = SeedEnvs(f"{HERE}:Mixed", [1, 2], 3)
    seen, steps = roll(envs, 8)
    assert envs.obs_shape == (5,)  # a view of four, and the place
    for before, step in zip(seen[1:], steps, strict=False):
        ended = step.terminated | step.truncated
        assert np.array_equal(before[~ended], step.next_obs[~ended])
    where = np.stack([step.next_obs for step in steps])[..., 4]
    assert set(np.unique(where)) == {0, 1, 2, 3}


def test_one_environment_is_a_gymnasium_env_with_the_same_first_episode() -> None:
    single, envs = resolve(Mixed).make(), SeedEnvs(Mixed, [4], 1, backend="tensor")
    sync = SeedEnvs(Mixed, [4], 1, backend="sync")
    assert np.array_equal(envs.reset(), sync.reset())
    for _ in range(3):
        action = np.ones((1, 1, 2), np.int64)
        mine, theirs = envs.step(action), sync.step(action)
        for name in ("next_obs", "reward", "terminated", "truncated"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name))
    assert theirs.terminated.all()
    obs, _ = single.reset(seed=3)
    assert single.observation_space.contains({"where": int(obs["where"]), "view": obs["view"]})
    assert single.metadata["render_modes"] == []


def test_wrappers_go_around_single_environments() -> None:
    envs = SeedEnvs(Counting, [0], 2, wrappers=[{"ClipReward": {"max_reward": 1.0}}])
    _, steps = roll(envs, 3)
    assert [float(step.reward.max()) for step in steps] == [1.0, 1.0, 1.0]
    with pytest.raises(UserError, match="wrappers go around single environments"):
        SeedEnvs(Counting, [0], 2, backend="tensor", wrappers=["ClipAction"])
    with pytest.raises(UserError, match="env_backend auto"):
        describe_env("CartPole-v1", wrappers=["ClipAction"], backend="tensor")


def test_state_and_numbers_are_on_the_device(second_device: torch.device) -> None:
    envs, here = (SeedEnvs("Pendulum-v1", [0], 2, backend="tensor", device=where) for where in (second_device, "cpu"))
    assert np.array_equal(envs.reset(), here.reset())
    for _ in range(5):
        action = np.full((1, 2, 1), 0.5, np.float32)
        assert np.array_equal(envs.step(action).obs, here.step(action).obs)
    vec: Any = envs._vec
    assert all(isinstance(leaf, OnDevice) for leaf in vec._running.state)
    saved = envs.get_state()
    assert saved is not None
    assert all(type(leaf) is np.ndarray for leaf in saved["inner"]["running"])
    assert np.array_equal(here.set_state(saved), envs.obs)
    assert np.array_equal(here.step(action).obs, envs.step(action).obs)


WRONG = [
    ("Reads", "step failed on tensors without values.*\n.*torch.where"),
    ("Doubles", "step gave reward in float64"),
    ("DoubleState", r"reset gave the state\[1\] in float64"),
    ("Elsewhere", r"reset gave the state\[1\] on another device"),
    ("ThreeResults", "step gave a tuple; return state, obs, reward, terminated"),
    ("Wide", r"the observation as float32 \[..., 2\]; it must be float32 \[..., 5\]"),
    ("NumberReward", r"reward as a float; it must be float32 \[...\]"),
    ("OtherState", "another form than reset"),
    ("Growing", r"the state\[1\] as int64 \[...\]; it must be float32 \[...\] as from reset"),
    ("NoNoise", "reset_noise is empty"),
    ("Spaceless", "observation_space is missing"),
    ("SameNames", "both have 'start'"),
]


@pytest.mark.parametrize(("name", "message"), WRONG)
def test_a_wrong_environment_is_refused_before_it_runs(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        describe_env(f"{HERE}:{name}")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"lenght": 2}, "unknown argument of Counting 'lenght'; did you mean 'length'"),
        ({"length": "long"}, "length is a number or a list of numbers, got 'long'"),
        ({"length": 2.5}, "length is as 3, got 2.5"),
        ({"length": [1, 2]}, "length is as 3"),
        ({"max_episode_steps": 0}, "max_episode_steps is a number of steps from 1, got 0"),
    ],
)
def test_a_wrong_argument_is_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        describe_env(Counting, kwargs)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("Taxi-v4", "Taxi-v4 is no tensor program; these have one: Acrobot-v1"),
        ("InvertedPendulum-v5", "did you mean 'Pendulum-v1'"),
        ("CartPol-v1", "CartPol-v1 is no tensor program; did you mean 'CartPole-v1'"),
        ("PongNoFrameskip-v4", "PongNoFrameskip-v4 is no tensor program"),
        ("tests.envs.counting:Counting", "is no tensor program"),
        ("tuneexp.envs.tensor.tensor_env:TensorEnv", "can't be created"),
    ],
)
def test_an_environment_without_a_program_is_refused(env: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        describe_env(env, backend="tensor")


def test_it_resets_within_the_step_only() -> None:
    with pytest.raises(UserError, match="resets by same_step only"):
        SeedEnvs("CartPole-v1", [0], 1, backend="tensor", autoreset="next_step")


def test_a_class_that_is_no_program_of_several_tensors_has_no_native_environment() -> None:
    with pytest.raises(UserError, match="env_backend sync or async"):
        SeedEnvs(Counting, [0], 1, backend="native")


def test_a_reward_that_is_not_finite_is_a_fault_of_the_environment() -> None:
    envs = SeedEnvs("Pendulum-v1", [0], 2, {"l": 0.0}, backend="tensor")
    envs.reset()
    with pytest.raises(EnvironmentFault, match="Pendulum-v1, seed 0, index 0: the observation is not finite"):
        envs.step(np.zeros((1, 2, 1), np.float32))


def test_pictures_are_drawn_by_gymnasium_where_the_id_is_its_own() -> None:
    made = resolve("CartPole-v1", backend="tensor").make()
    assert isinstance(made.unwrapped, gymnasium.envs.classic_control.CartPoleEnv)
