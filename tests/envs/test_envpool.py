"""EnvPool's environments: true transitions, and random numbers of (seed, index) only."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from tuneexp.envs.env_factory import describe_env
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import UserError


def test_envpool_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)  # the import fails, installed or not
    for build in (describe_env, lambda env, **more: SeedEnvs(env, [0], 1, **more)):
        with pytest.raises(UserError, match=r"tuneexp\[envpool\]"):
            build("CartPole-v1", backend="envpool")


# 750 MB: not among the packages of a development environment.
needs_envpool = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("envpool") is None,
    reason="EnvPool is not installed: pip install 'tuneexp[envpool]'",
)


def pooled(env: str, seeds: list[int], n_envs: int, **more: Any) -> SeedEnvs:
    return SeedEnvs(env, seeds, n_envs, backend="envpool", **more)


@needs_envpool
def test_valid_rows_are_true_transitions_and_reset_rows_only_reset() -> None:
    """gymnasium's CartPole, set to each state, steps to the next one."""
    envs, reference = pooled("CartPole-v1", [0, 1], 3), CartPoleEnv()
    reference.reset(seed=0)
    obs, resets, ends, rng = envs.reset(), 0, 0, np.random.default_rng(0)
    for _ in range(150):
        action = rng.integers(0, 2, (2, 3))
        announced = envs.resets_next.copy()
        step = envs.step(action)
        assert np.array_equal(step.valid, ~announced)
        for row in map(tuple, np.argwhere(step.valid)):
            reference.state, reference.steps_beyond_terminated = obs[row].astype(np.float64), None
            after, reward, terminated, *_ = reference.step(action[row])
            assert np.allclose(after, step.next_obs[row], atol=1e-5)
            assert (reward, terminated) == (step.reward[row], step.terminated[row])
        assert (np.abs(step.obs[~step.valid]) <= 0.05).all()
        assert not (step.terminated | step.truncated)[~step.valid].any()
        resets, ends = resets + int((~step.valid).sum()), ends + int((step.terminated | step.truncated).sum())
        obs = step.obs
    assert ends - int(envs.resets_next.sum()) == resets
    assert resets > 20


@needs_envpool
def test_a_time_limit_truncates_and_does_not_terminate() -> None:
    envs = pooled("Pendulum-v1", [0], 2, env_kwargs={"max_episode_steps": 5})
    envs.reset()
    for t in range(12):
        step = envs.step(np.zeros((1, 2, 1), np.float32))
        assert step.truncated.all() == (t in (4, 10))
        assert not step.terminated.any()
        assert step.valid.all() == (t not in (5, 11))


def trajectory(envs: SeedEnvs, steps: int = 100) -> np.ndarray:
    seen = [envs.reset()]
    for t in range(steps):
        seen.append(envs.step(np.full((envs.n_seeds, envs.n_envs), t // 3 % 2)).obs)
    return np.stack(seen)


@needs_envpool
def test_a_seed_runs_the_same_alone_beside_others_and_with_more_environments() -> None:
    alone = trajectory(pooled("CartPole-v1", [3], 2))
    beside = trajectory(pooled("CartPole-v1", [0, 3, 7], 2))
    assert np.array_equal(alone[:, 0], beside[:, 1])
    assert not np.array_equal(beside[:, 0], beside[:, 1])
    assert np.array_equal(alone, trajectory(pooled("CartPole-v1", [3], 5))[:, :, :2])


@needs_envpool
def test_fresh_episodes_after_a_restore_are_new_and_repeatable() -> None:
    envs, again = pooled("CartPole-v1", [3], 2), pooled("CartPole-v1", [3], 2)
    starts = [envs.reset(), envs.reset(), envs.reset_fresh(1), envs.reset_fresh(2)]
    assert len({start.tobytes() for start in starts}) == 4
    assert np.array_equal(again.reset_fresh(2), starts[3])


@needs_envpool
def test_what_envpool_lacks_is_reported() -> None:
    with pytest.raises(UserError, match=r"'ALE/Pong-v5'.* 'Pong-v5'"):
        describe_env("ALE/Pong-v5", backend="envpool")
    with pytest.raises(UserError, match="'max_episode_steps'"):
        pooled("CartPole-v1", [0], 1, env_kwargs={"max_steps": 3})
    with pytest.raises(UserError, match="wrappers"):
        pooled("CartPole-v1", [0], 1, wrappers=["ClipReward"])
    with pytest.raises(UserError, match="EnvPool's ids"):
        pooled(CartPoleEnv, [0], 1)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="next_step"):
        pooled("CartPole-v1", [0], 1, autoreset="same_step")
