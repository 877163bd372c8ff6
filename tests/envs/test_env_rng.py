"""Randomness depends on (seed, environment index) only, not on what runs in parallel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.envs.counting import NATIVE, RandomLength
from tuneexp.envs.env_rng import env_seed
from tuneexp.envs.seed_envs import SeedEnvs

SETUPS: list[tuple[Any, str]] = [
    ("CartPole-v1", "native"),
    ("CartPole-v1", "sync"),
    ("Pendulum-v1", "auto"),
    (RandomLength, "auto"),
    ("CartPole-v1", "tensor"),
    ("Acrobot-v1", "tensor"),
    (NATIVE, "native"),
]


def trajectory(env: Any, seeds: list[int], n_envs: int, backend: str, steps: int = 120) -> dict[int, np.ndarray]:
    """Observations [T, N, ...] of each seed; all seeds and environments get the same actions."""
    envs = SeedEnvs(env, seeds, n_envs, backend=backend)  # type: ignore[arg-type]
    seen = [envs.reset()]
    envs.action_space.seed(0)
    try:
        for _ in range(steps):
            action = np.asarray(envs.action_space.sample())
            seen.append(envs.step(np.broadcast_to(action, (len(seeds), n_envs, *action.shape))).obs)
    finally:
        envs.close()
    return {seed: np.stack(seen)[:, i] for i, seed in enumerate(seeds)}


@pytest.mark.parametrize(("env", "backend"), SETUPS)
def test_a_seed_runs_the_same_alone_and_beside_others(env: Any, backend: str) -> None:
    alone = trajectory(env, [3], 2, backend)
    beside = trajectory(env, [0, 3, 7], 2, backend)
    assert np.array_equal(alone[3], beside[3])
    assert not np.array_equal(beside[0], beside[3])


def test_worker_processes_run_the_same_as_this_one() -> None:
    here = trajectory(RandomLength, [0, 3], 1, "sync", steps=30)
    there = trajectory(RandomLength, [3], 1, "async", steps=30)
    assert np.array_equal(here[3], there[3])


@pytest.mark.parametrize(("env", "backend"), SETUPS)
def test_environments_of_one_seed_differ(env: Any, backend: str) -> None:
    seen = trajectory(env, [3], 2, backend)[3]
    assert not np.array_equal(seen[:, 0], seen[:, 1])


@pytest.mark.parametrize(("env", "backend"), SETUPS[:6])
def test_an_environment_does_not_depend_on_how_many_run_for_its_seed(env: Any, backend: str) -> None:
    few, many = (trajectory(env, [3], n, backend)[3] for n in (2, 5))
    assert np.array_equal(few, many[:, :2])


@pytest.mark.parametrize(("env", "backend"), SETUPS)
def test_a_second_reset_continues_with_new_episodes(env: Any, backend: str) -> None:
    envs = SeedEnvs(env, [3], 2, backend=backend)  # type: ignore[arg-type]
    assert not np.array_equal(envs.reset(), envs.reset())


def test_native_cartpole_draws_starts_as_gymnasium_does() -> None:
    starts = np.concatenate([SeedEnvs("CartPole-v1", [s], 8).reset().reshape(-1, 4) for s in range(50)])
    assert np.abs(starts).max() <= 0.05
    assert np.abs(starts.mean(axis=0)).max() < 0.006  # four standard errors of 400 uniform draws
    assert np.allclose(starts.std(axis=0), 0.1 / np.sqrt(12), rtol=0.1)


def test_env_seeds_fit_31_bits_and_differ() -> None:
    seeds = {env_seed(s, i) for s in range(40) for i in range(40)}
    assert len(seeds) == 1600
    assert max(seeds) < 2**31
