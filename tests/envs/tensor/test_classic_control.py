"""The tensor programs of classic control equal gymnasium's environments: states, rewards, ends and starts."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor
from torch.utils._pytree import tree_map

from tuneexp.envs.env_factory import resolve
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.envs.tensor.built_in import built_in_ids
from tuneexp.envs.tensor.program import Running, TensorProgram, advance, start

CLASSIC = ["Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"]
N_ENVS, N_STEPS = 20, 500  # 10,000 steps


def program_of(env: str, **kwargs: Any) -> TensorProgram:
    return resolve(env, kwargs, backend="tensor").make_tensor()


def put(env: Any, state: Any, row: int) -> None:
    """Start an episode of gymnasium's environment in one row of a state of the program."""
    env.reset()
    numbers = [leaf[row].item() for leaf in state]
    env.unwrapped.state = tuple(numbers) if "MountainCarEnv" in str(env) else np.array(numbers)


class SideBySide:
    """The program in float64 and gymnasium's environments from the same starts, stepped by the same random actions."""

    def __init__(self, env: str, **kwargs: Any) -> None:
        self.program, self.random = program_of(env, **kwargs), np.random.default_rng(0)
        declared = {**self.program.env.params, **kwargs}
        self.params = {name: torch.tensor(declared[name], dtype=torch.float64) for name in self.program.params}
        self.own = [gymnasium.make(env, disable_env_checker=True, **kwargs) for _ in range(N_ENVS)]
        self.running, _ = start(self.program.env, self._noise(), self.params)
        for row in range(N_ENVS):
            put(self.own[row], self.running.state, row)

    def _noise(self) -> dict[str, Tensor]:
        (noise,) = self.program.env.reset_noise.values()
        return {"start": torch.from_numpy(self.random.random((N_ENVS, *noise.shape)))}

    def actions(self) -> np.ndarray:
        space: Any = self.program.env.action_space
        if hasattr(space, "n"):
            return self.random.integers(0, space.n, N_ENVS)
        return self.random.uniform(space.low, space.high, (N_ENVS, *space.shape))

    def step(self) -> tuple[Any, Any, list[Any]]:
        """Returns the outcome in float64, that of one float32 step from the same states, and gymnasium's."""
        program, action, noise = self.program, self.actions(), self._noise()
        theirs = [env.step(a) for env, a in zip(self.own, action, strict=True)]
        before = tree_map(lambda one: one.float() if one.is_floating_point() else one, self.running)
        single = tree_map(lambda one: one.float(), noise)
        sent = torch.from_numpy(action)
        rounded = sent.float() if sent.is_floating_point() else sent
        _, in_float = advance(program.env, before, rounded, single, program.params, program.limit)
        self.running, outcome = advance(program.env, self.running, sent, noise, self.params, program.limit)
        for row in (outcome.terminated | outcome.truncated).nonzero()[:, 0].tolist():
            put(self.own[row], self.running.state, row)
        return outcome, in_float, theirs


def columns(theirs: list[Any]) -> list[np.ndarray]:
    return [np.stack([np.asarray(result[i]) for result in theirs]) for i in range(4)]


@pytest.mark.parametrize("env", CLASSIC)
def test_ten_thousand_random_steps_are_those_of_gymnasium(env: str) -> None:
    """Episodes from their starts to their ends in float64, where chaos leaves them together; each step in float32."""
    both, ends = SideBySide(env), 0
    # gymnasium rounds observations to float32, and this one its state too.
    drift = 2e-5 if env == "MountainCarContinuous-v0" else 2e-6
    for _ in range(N_STEPS):
        outcome, in_float, theirs = both.step()
        obs, reward, terminated, truncated = columns(theirs)
        for mine, far in ((outcome, drift), (in_float, 2e-5)):
            np.testing.assert_allclose(mine.next_obs, obs, rtol=far, atol=far)
            np.testing.assert_allclose(mine.reward, reward, rtol=far, atol=far)
            assert np.array_equal(mine.terminated, terminated)
            assert np.array_equal(mine.truncated, truncated)
        assert in_float.next_obs.dtype == in_float.reward.dtype == torch.float32
        ends += int((terminated | truncated).sum())
    assert ends >= (0 if env == "MountainCarContinuous-v0" else N_ENVS)


@pytest.mark.parametrize(
    ("env", "kwargs"),
    [
        ("CartPole-v1", {"sutton_barto_reward": True, "max_episode_steps": 12}),
        ("Pendulum-v1", {"g": 9.81}),
        ("MountainCar-v0", {"goal_velocity": 0.01}),
    ],
)
def test_arguments_of_gymnasium_mean_the_same(env: str, kwargs: dict[str, Any]) -> None:
    both = SideBySide(env, **kwargs)
    for _ in range(40):
        outcome, _, theirs = both.step()
        obs, reward, terminated, truncated = columns(theirs)
        np.testing.assert_allclose(outcome.next_obs, obs, rtol=2e-6, atol=2e-6)
        np.testing.assert_allclose(outcome.reward, reward, rtol=2e-6, atol=2e-6)
        assert np.array_equal(outcome.terminated, terminated)
        assert np.array_equal(outcome.truncated, truncated)


def goal_of(env: str, position: float, velocity: float) -> tuple[Any, Any]:
    """One step to the right from near the goal, by the program and by gymnasium."""
    program, own = program_of(env), gymnasium.make(env)
    state = type(program.start({"start": torch.zeros(1)})[0].state)(torch.tensor([position]), torch.tensor([velocity]))
    running = Running(state, torch.zeros(1, dtype=torch.int64))
    action = np.array([[1.0]], np.float32) if "Continuous" in env else np.array([2])
    put(own, state, 0)
    return program.advance(running, torch.from_numpy(action), {"start": torch.zeros(1)})[1], own.step(action[0])


@pytest.mark.parametrize("env", ["MountainCar-v0", "MountainCarContinuous-v0"])
def test_the_goal_of_the_mountain_car_is_that_of_gymnasium(env: str) -> None:
    """Random actions reach neither the goal nor the left wall at full speed."""
    for position, velocity in ((0.49, 0.03), (0.42, 0.03), (-1.19, -0.06)):
        mine, theirs = goal_of(env, position, velocity)
        np.testing.assert_allclose(mine.next_obs[0], theirs[0], rtol=1e-5, atol=1e-6)
        assert float(mine.reward) == pytest.approx(theirs[1])
        assert bool(mine.terminated) == theirs[2]
    assert theirs[0][1] == 0.0  # the wall stops it
    assert goal_of(env, 0.49, 0.03)[0].terminated.all()


@pytest.mark.parametrize("env", CLASSIC)
def test_the_first_episode_of_a_seed_starts_as_that_of_gymnasium(env: str) -> None:
    mine, theirs = (SeedEnvs(env, [0, 7], 50, backend=backend).reset() for backend in ("tensor", "sync"))
    np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("env", CLASSIC)
def test_later_episodes_start_from_the_distribution_of_gymnasium(env: str) -> None:
    envs, own = SeedEnvs(env, [3], 400, backend="tensor"), gymnasium.make(env)
    envs.reset()
    later = envs.reset()[0]
    theirs = np.stack([own.reset(seed=seed)[0] for seed in range(400)])
    for part in range(later.shape[1]):
        assert ks_2samp(later[:, part], theirs[:, part]).pvalue > 1e-3


def test_each_registration_of_a_class_has_its_program() -> None:
    known = built_in_ids()
    assert set(CLASSIC) | {"CartPole-v0"} <= set(known)
    assert int(program_of("CartPole-v0").limit) == 200
    assert int(program_of("CartPole-v0", max_episode_steps=30).limit) == 30


@pytest.mark.parametrize("env", CLASSIC)
def test_the_spaces_are_those_of_gymnasium(env: str) -> None:
    program, own = program_of(env), gymnasium.make(env)
    assert program.env.observation_space == own.observation_space
    assert program.env.action_space == own.action_space
