"""Every autoreset mode yields the same transitions: each one once, none across the end of an episode."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.envs.counting import NATIVE, Counting
from tuneexp.envs.seed_envs import SeedEnvs, Step
from tuneexp.errors import UserError

MODES = ("next_step", "same_step", "disabled")


def roll(envs: SeedEnvs, steps: int) -> tuple[np.ndarray, Step]:
    """Step with actions from the observations. Returns the observations [T, S, N, ...] and the steps stacked over T."""
    obs, acted_on, results = envs.reset(), [], []
    for _ in range(steps):
        acted_on.append(obs)
        results.append(envs.step(np.zeros((envs.n_seeds, envs.n_envs), np.int64)))
        obs = results[-1].obs
    return np.stack(acted_on), Step(*(np.stack(column) for column in zip(*results, strict=True)))


def assert_true_transitions(obs: np.ndarray, steps: Step, seed: int, index: int, length: Any) -> int:
    """Check that the valid rows of one environment are (episode, k) -> (episode, k + 1), in order and without a gap."""
    rows = steps.valid[:, seed, index].nonzero()[0]
    expected = (0, 0)
    for t in rows:
        before, after = obs[t, seed, index], steps.next_obs[t, seed, index]
        assert tuple(before[:2]) == expected
        assert tuple(after[:2]) == (before[0], before[1] + 1)
        assert steps.reward[t, seed, index] == before[1] + 1
        ended = steps.terminated[t, seed, index] or steps.truncated[t, seed, index]
        if length is not None:
            assert ended == (before[1] + 1 == length)
        expected = (before[0] + 1, 0) if ended else (before[0], before[1] + 1)
    return len(rows)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ["terminated", "truncated", "both"])
def test_valid_rows_are_the_true_transitions_each_once(mode: str, end: str) -> None:
    envs = SeedEnvs(partial(Counting, length=3, end=end), [0, 5], 2, backend="sync", autoreset=mode)  # type: ignore[arg-type]
    obs, steps = roll(envs, 22)
    counted = [assert_true_transitions(obs, steps, s, i, 3) for s in range(2) for i in range(2)]
    taken = [env.unwrapped.steps_taken for env in envs._vec.envs]  # type: ignore[attr-defined]
    assert counted == taken
    assert steps.terminated.any() == (end != "truncated")
    assert steps.truncated.any() == (end != "terminated")
    # 22 steps of NEXT_STEP are five whole rounds of three transitions and a reset, and two more transitions.
    assert set(counted) == {17 if mode == "next_step" else 22}


@pytest.mark.parametrize("mode", ["next_step", "same_step"])
def test_worker_processes_give_the_true_transitions(mode: str) -> None:
    envs = SeedEnvs(Counting, [0, 1], 1, backend="async", autoreset=mode)  # type: ignore[arg-type]
    try:
        obs, steps = roll(envs, 10)
    finally:
        envs.close()
    for seed in range(2):
        assert assert_true_transitions(obs, steps, seed, 0, 3) == (8 if mode == "next_step" else 10)


@pytest.mark.parametrize("mode", MODES)
def test_native_environments_of_any_mode_give_the_true_transitions(mode: str) -> None:
    envs = SeedEnvs(NATIVE, [0, 1, 2], 4, {"mode": mode})
    obs, steps = roll(envs, 40)
    ends = steps.terminated | steps.truncated
    for seed in range(3):
        for index in range(4):
            counted = assert_true_transitions(obs, steps, seed, index, None)
            resets = ends[:-1, seed, index].sum() if mode == "next_step" else 0
            assert counted == 40 - resets
    # The third component belongs to the episode: a transition into another episode would change it.
    assert np.array_equal(obs[steps.valid][:, 2], steps.next_obs[steps.valid][:, 2])
    assert ends.sum() > 50


@pytest.mark.parametrize("mode", MODES)
def test_resets_next_announces_the_reset_rows(mode: str) -> None:
    envs = SeedEnvs(NATIVE, [0, 1], 3, {"mode": mode})
    envs.reset()
    for _ in range(30):
        announced = envs.resets_next.copy()
        assert np.array_equal(envs.step(np.zeros((2, 3), np.int64)).valid, ~announced)


def test_native_cartpole_never_mixes_two_episodes() -> None:
    envs = SeedEnvs("CartPole-v1", [0, 1], 4)
    obs, steps = envs.reset(), 0
    for _ in range(200):
        step = envs.step(np.ones((2, 4), np.int64))
        # Pushing right always, the cart only ever speeds up within an episode and starts afresh in a reset row.
        assert (step.next_obs[..., 1] > obs[..., 1])[step.valid].all()
        assert (np.abs(step.next_obs) <= 0.05)[~step.valid].all()
        assert not (step.terminated | step.truncated)[~step.valid].any()
        obs, steps = step.obs, steps + int((~step.valid).sum())
    assert steps > 100


def test_a_time_limit_truncates_and_does_not_terminate() -> None:
    envs = SeedEnvs("Pendulum-v1", [0], 2, {"max_episode_steps": 5})
    envs.reset()
    for t in range(12):
        step = envs.step(np.zeros((1, 2, 1), np.float32))
        assert step.truncated.all() == (t in (4, 10))
        assert not step.terminated.any()
        assert step.valid.all() == (t not in (5, 11))


def test_observations_once_given_are_never_overwritten() -> None:
    for env in ("CartPole-v1", "Pendulum-v1", NATIVE):
        envs = SeedEnvs(env, [0], 2)
        first = envs.reset()
        copy = first.copy()
        action = np.zeros((1, 2, *(envs.action_space.shape or ())), envs.action_space.dtype)
        kept = [envs.step(action) for _ in range(3)]
        assert np.array_equal(first, copy)
        assert not np.shares_memory(kept[0].obs, kept[1].obs)


def test_a_mode_that_the_native_environment_lacks_is_refused() -> None:
    with pytest.raises(UserError, match="next_step"):
        SeedEnvs("CartPole-v1", [0], 2, autoreset="same_step")
    with pytest.raises(UserError, match="'same_step'"):
        SeedEnvs("Pendulum-v1", [0], 2, autoreset="samestep")  # type: ignore[arg-type]
