"""MuJoCo and Box2D with a seed axis; a missing package is reported with its install command."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from tuneexp.envs.env_factory import describe_env
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import UserError

CASES = [("HalfCheetah-v5", "mujoco", (17,)), ("LunarLander-v3", "Box2D", (8,)), ("BipedalWalker-v3", "Box2D", (24,))]


@pytest.mark.parametrize(("env", "package", "obs_shape"), CASES)
def test_a_seed_runs_the_same_alone_and_beside_others(env: str, package: str, obs_shape: tuple[int, ...]) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'tuneexp[{package.lower()}]'")

    def roll(seeds: list[int]) -> np.ndarray:
        envs, seen = SeedEnvs(env, seeds, 2), []
        seen.append(envs.reset())
        envs.action_space.seed(0)
        for _ in range(120):
            action = np.asarray(envs.action_space.sample())
            seen.append(envs.step(np.broadcast_to(action, (len(seeds), 2, *action.shape))).obs)
        return np.stack(seen)

    alone, beside = roll([3]), roll([0, 3])
    assert alone.shape == (121, 1, 2, *obs_shape)
    assert alone.dtype == np.float32
    assert np.array_equal(alone[:, 0], beside[:, 1])
    assert not np.array_equal(beside[:, 0], beside[:, 1])


@pytest.mark.parametrize(("env", "package", "_"), CASES)
def test_a_missing_package_is_named_with_its_extra(
    env: str, package: str, _: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith(("gymnasium.envs.mujoco", "gymnasium.envs.box2d"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)  # the import fails, installed or not
    with pytest.raises(UserError, match=rf"tuneexp\[{package.lower()}\]"):
        describe_env(env)
