"""A faulty environment fails its trial; the error has environment, seed and reason."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest

from tests.envs.counting import Counting, Faulty, SharedGenerator, SharedGeneratorSingle
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import EnvironmentFault


class OnlySecond:
    """Callable that returns one valid environment, then faulty ones."""

    def __init__(self, how: str) -> None:
        self.how, self.made = how, 0

    def __call__(self) -> gymnasium.Env[Any, Any]:
        self.made += 1
        return Counting(length=10) if self.made == 1 else Faulty(self.how)


def run(envs: SeedEnvs, steps: int = 5) -> None:
    envs.reset()
    for _ in range(steps):
        envs.step(np.zeros((envs.n_seeds, envs.n_envs, *(envs.action_space.shape or ())), envs.action_space.dtype))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raises", "step raised ValueError: the arm fell off"),
        ("nan observation", "the observation is not finite: [ 0. nan]"),
        ("inf reward", "the reward is not finite: inf"),
    ],
)
@pytest.mark.parametrize("backend", ["sync", "async"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # gymnasium prints the worker's traceback as one
def test_a_fault_names_environment_seed_and_reason(how: str, reason: str, backend: str) -> None:
    if backend == "sync":
        envs = SeedEnvs(OnlySecond(how), [4, 9], 1, backend="sync")
    else:
        envs = SeedEnvs(partial(Faulty, how), [9], 1, backend="async")
    try:
        with pytest.raises(EnvironmentFault) as fault:
            run(envs)
    finally:
        envs.close()
    assert reason in str(fault.value)
    assert f"{'OnlySecond' if backend == 'sync' else 'Faulty'}, seed 9, index 0" in str(fault.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_worker_process_that_dies_is_a_fault_and_closing_does_not_hang() -> None:
    class Dies(Counting):
        def step(self, action: Any) -> Any:
            os._exit(3)

    envs = SeedEnvs(Dies, [0, 1], 1, backend="async")
    with pytest.raises(EnvironmentFault, match="Dies, seeds 0, 1"):
        run(envs)
    envs.close()
    envs.close()
    assert not any(process.is_alive() for process in envs._vec.processes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_a_fault_in_a_final_observation_is_seen_in_every_mode(mode: str) -> None:
    class NanAtTheEnd(Counting):
        def step(self, action: Any) -> Any:
            obs, *rest = super().step(action)
            return (np.full_like(obs, np.nan) if self.step_in_episode == 3 else obs), *rest

    with pytest.raises(EnvironmentFault, match="not finite"):
        run(SeedEnvs(NanAtTheEnd, [0], 1, autoreset=mode))  # type: ignore[arg-type]


def test_a_native_environment_that_raises_is_named_with_its_seed() -> None:
    class Breaks(SharedGenerator):
        def step(self, actions: np.ndarray) -> Any:
            raise RuntimeError("no contact")

    gymnasium.register("tuneexp-test/Breaks-v0", SharedGeneratorSingle, vector_entry_point=Breaks)
    try:
        with pytest.raises(EnvironmentFault, match=r"seed 2: .*RuntimeError: no contact"):
            run(SeedEnvs("tuneexp-test/Breaks-v0", [2, 3], 2))
    finally:
        del gymnasium.registry["tuneexp-test/Breaks-v0"]


def test_an_environment_that_fails_to_reset_is_a_fault() -> None:
    class Stuck(Counting):
        def reset(self, **kwargs: Any) -> Any:
            raise OSError("port in use")

    with pytest.raises(EnvironmentFault, match=r"index 0: .*OSError: port in use"):
        run(SeedEnvs(Stuck, [0], 1))


def test_a_policy_gone_nan_is_not_blamed_on_the_environment() -> None:
    envs = SeedEnvs("Pendulum-v1", [0, 6], 1)
    envs.reset()
    action = np.zeros((2, 1, 1), np.float32)
    action[1] = np.nan
    with pytest.raises(EnvironmentFault, match=r"seed 6, index 0: .*non-finite action"):
        envs.step(action)


@pytest.mark.filterwarnings("error")
def test_large_finite_values_are_no_fault() -> None:
    class Large(Counting):
        def step(self, action: Any) -> Any:
            obs, _, *rest = super().step(action)
            return np.full_like(obs, 1e30), -1e30, *rest

    run(SeedEnvs(Large, [0], 2))


@pytest.mark.filterwarnings("ignore:overflow")
def test_finite_values_whose_sum_overflows_are_no_fault() -> None:
    class Huge(Counting):
        def step(self, action: Any) -> Any:
            obs, _, *rest = super().step(action)
            return np.full_like(obs, 3e38), 3e38, *rest

    run(SeedEnvs(Huge, [0], 2))
