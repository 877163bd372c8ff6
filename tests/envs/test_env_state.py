"""A saved state restored into new environments continues exactly."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from tests.envs.counting import NATIVE, Counting
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import CheckpointError

CLASSIC = ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"]
CASES = [("CartPole-v1", "native", None)] + [
    (env, "sync", mode) for env in CLASSIC for mode in ("next_step", "same_step", "disabled")
]
CASES += [(env, "tensor", None) for env in CLASSIC]


# Ant and Humanoid reward how far a body moved since the step before.
needs_mujoco = pytest.mark.skipif(
    importlib.util.find_spec("mujoco") is None, reason="MuJoCo is not installed: pip install 'tuneexp[mujoco]'"
)
MUJOCO = ["HalfCheetah-v5", "Hopper-v5", "Ant-v5", "Humanoid-v5", "Pusher-v5"]
CASES += [pytest.param(env, "sync", "next_step", marks=needs_mujoco) for env in MUJOCO]  # type: ignore[misc]


def through_a_file(tree: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Save and load like a checkpoint: arrays in safetensors, the rest in JSON; other types fail."""
    if isinstance(tree, np.ndarray):
        name = f"t{len(tensors)}"
        tensors[name] = tree
        return {"array": name}
    if isinstance(tree, dict):
        return {key: through_a_file(value, tensors) for key, value in tree.items()}
    return [through_a_file(value, tensors) for value in tree] if isinstance(tree, list) else tree


def from_a_file(tree: Any, tensors: dict[str, np.ndarray]) -> Any:
    if isinstance(tree, dict):
        return tensors[tree["array"]] if "array" in tree else {k: from_a_file(v, tensors) for k, v in tree.items()}
    return [from_a_file(value, tensors) for value in tree] if isinstance(tree, list) else tree


def actions(envs: SeedEnvs, steps: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (envs.n_seeds, envs.n_envs, *(envs.action_space.shape or ()))
    if hasattr(envs.action_space, "n"):
        return [rng.integers(0, envs.action_space.n, shape) for _ in range(steps)]
    return [rng.normal(size=shape).astype(np.float32) for _ in range(steps)]


@pytest.mark.parametrize("steps_before", [0, 57, 61])
@pytest.mark.parametrize(("env", "backend", "mode"), CASES)
def test_a_restored_state_continues_bit_for_bit(env: str, backend: str, mode: Any, steps_before: int) -> None:
    def build() -> SeedEnvs:
        return SeedEnvs(env, [1, 4], 3, {"max_episode_steps": 30}, backend=backend, autoreset=mode)  # type: ignore[arg-type]

    envs = build()
    envs.reset()
    for action in actions(envs, steps_before, seed=0):
        envs.step(action)
    tensors: dict[str, np.ndarray] = {}
    text = json.dumps(through_a_file(envs.get_state(), tensors))
    again = build()
    obs = again.set_state(from_a_file(json.loads(text), load(save(tensors))))
    assert np.array_equal(obs, envs.obs)
    ends = 0
    for action in actions(envs, 100, seed=1):
        expected, got = envs.step(action), again.step(action)
        for name, a, b in zip(expected._fields, expected, got, strict=True):
            assert np.array_equal(a, b), name
        ends += int((expected.terminated | expected.truncated).sum())
    assert ends >= 18


def test_a_state_continues_through_wrappers_that_hold_nothing() -> None:
    def build() -> SeedEnvs:
        wrappers = [{"RescaleAction": {"min_action": -1, "max_action": 1}}, {"ClipReward": {"min_reward": -1}}]
        return SeedEnvs("Pendulum-v1", [2], 2, {"max_episode_steps": 30}, wrappers=wrappers)

    envs, again = build(), build()
    envs.reset()
    for action in actions(envs, 40, seed=0):
        envs.step(action)
    state = envs.get_state()
    assert state is not None
    again.set_state(state)
    for action in actions(envs, 40, seed=1):
        assert np.array_equal(envs.step(action).obs, again.step(action).obs)
    stacked = SeedEnvs("Pendulum-v1", [2], 2, wrappers=[{"FrameStackObservation": {"stack_size": 2}}])
    stacked.reset()
    assert stacked.get_state() is None  # its frames would be lost


@pytest.mark.parametrize(
    ("env", "backend"),
    [("CartPole-v1", "native"), ("CartPole-v1", "sync"), (NATIVE, "native"), ("CartPole-v1", "tensor")],
)
def test_each_restore_without_a_state_starts_other_episodes(env: str, backend: str) -> None:
    envs, again = (SeedEnvs(env, [1, 4], 3, backend=backend) for _ in range(2))  # type: ignore[arg-type]
    starts = [envs.reset(), envs.reset(), envs.reset_fresh(1), envs.reset_fresh(2)]
    assert len({start[..., -1].tobytes() for start in starts}) == 4
    assert np.array_equal(again.reset_fresh(2)[..., -1], starts[3][..., -1])
    alone = SeedEnvs(env, [4], 3, backend=backend)  # type: ignore[arg-type]
    assert np.array_equal(alone.reset_fresh(2)[0, :, -1], starts[3][1, :, -1])


def test_saving_changes_nothing() -> None:
    saved_once, never_saved = (SeedEnvs("CartPole-v1", [0], 4) for _ in range(2))
    saved_once.reset()
    never_saved.reset()
    for action in actions(saved_once, 80, seed=0):
        assert saved_once.get_state() is not None
        assert np.array_equal(saved_once.step(action).obs, never_saved.step(action).obs)


def test_a_state_is_a_copy() -> None:
    envs = SeedEnvs("CartPole-v1", [0], 2)
    envs.reset()
    state = envs.get_state()
    assert state is not None
    before = json.dumps(through_a_file(state, {})), state["inner"]["state"].copy()
    for action in actions(envs, 60, seed=0):
        envs.step(action)
    assert before[0] == json.dumps(through_a_file(state, {}))
    assert np.array_equal(before[1], state["inner"]["state"])


def test_what_cannot_be_saved_exactly_gives_none() -> None:
    for env in (Counting, NATIVE):
        envs = SeedEnvs(env, [0], 1)  # type: ignore[arg-type]
        envs.reset()
        assert envs.get_state() is None


def test_a_subclass_of_a_classic_environment_may_hold_more_and_is_not_saved() -> None:
    from gymnasium.envs.classic_control import PendulumEnv

    class Windy(PendulumEnv):
        pass

    known, unknown = SeedEnvs(PendulumEnv, [0], 1), SeedEnvs(Windy, [0], 1)
    known.reset()
    unknown.reset()
    assert known.get_state() is not None
    assert unknown.get_state() is None


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (("Acrobot-v1", [0, 1], 2), "env 'Pendulum-v1', here it is 'Acrobot-v1'"),
        (("Pendulum-v1", [0, 2], 2), "seeds [0, 1], here it is [0, 2]"),
        (("Pendulum-v1", [0, 1], 3), "n_envs 2, here it is 3"),
    ],
)
def test_a_state_of_something_else_is_refused(other: tuple[str, list[int], int], message: str) -> None:
    envs = SeedEnvs("Pendulum-v1", [0, 1], 2)
    envs.reset()
    state = envs.get_state()
    assert state is not None
    with pytest.raises(CheckpointError) as refused:
        SeedEnvs(*other).set_state(state)
    assert message in str(refused.value)


def test_a_state_of_another_backend_is_refused() -> None:
    native, sync = SeedEnvs("CartPole-v1", [0], 1), SeedEnvs("CartPole-v1", [0], 1, backend="sync")
    native.reset()
    state = native.get_state()
    assert state is not None
    with pytest.raises(CheckpointError, match="backend"):
        sync.set_state(state)
