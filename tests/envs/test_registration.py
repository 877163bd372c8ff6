"""Ids that a user's program registers, in its other processes and in later ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from tests.envs.counting import Counting
from tuneexp import PPO, Sweep
from tuneexp.envs.registration import register_again, registration_of
from tuneexp.errors import UserError

SMALL = {"budget_env_steps": 64, "compile": "off", "n_steps": 8, "n_envs": 2, "batch_size": 16}


@pytest.fixture(autouse=True)
def same_registry() -> Iterator[None]:
    before = dict(gymnasium.registry)
    yield
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


@pytest.mark.parametrize("env", ["CartPole-v1", "HalfCheetah-v5", "phys2d/CartPole-v1", "no-such-v0", Counting])
def test_what_each_process_has_needs_no_registration(env: object) -> None:
    assert registration_of(env) is None


@pytest.mark.parametrize("entry", [CartPoleEnv, "gymnasium.envs.classic_control:CartPoleEnv"])
def test_an_id_is_registered_again_with_all_its_settings(entry: object) -> None:
    gymnasium.register("Mine-v0", entry, max_episode_steps=7, kwargs={"sutton_barto_reward": True})
    found = registration_of("Mine-v0")
    assert found is not None
    assert found["entry_point"] == "gymnasium.envs.classic_control.cartpole:CartPoleEnv"
    del gymnasium.registry["Mine-v0"]
    register_again("Mine-v0", found)
    assert registration_of("Mine-v0") == found
    assert gymnasium.registry["Mine-v0"].max_episode_steps == 7
    env = gymnasium.make("Mine-v0")
    assert env.unwrapped._sutton_barto_reward  # type: ignore[attr-defined]


def test_an_id_of_gymnasium_that_the_program_replaced_is_replaced_again() -> None:
    gymnasium.register("Acrobot-v1", Counting)
    found = registration_of("Acrobot-v1")
    gymnasium.register("Acrobot-v1", "gymnasium.envs.classic_control:AcrobotEnv")
    register_again("Acrobot-v1", found)
    assert gymnasium.registry["Acrobot-v1"].entry_point is Counting


@pytest.mark.parametrize(
    "registered",
    [{"entry_point": lambda: CartPoleEnv()}, {"entry_point": CartPoleEnv, "kwargs": {"screen": object()}}],
    ids=["lambda", "object"],
)
def test_a_sweep_refuses_at_once_what_no_worker_could_register(registered: dict[str, object], tmp_path: Path) -> None:
    gymnasium.register("Mine-v0", **registered)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Mine-v0"):
        Sweep("ppo", "Mine-v0", {"gamma": {"uniform": [0.9, 0.99]}}, name="s", storage=tmp_path)


EVALUATES = "\n".join([
    "import sys",
    "from tuneexp.trial.from_checkpoint import evaluate_checkpoint",
    "print(evaluate_checkpoint(sys.argv[1], 1))",
])  # fmt: skip


def test_a_checkpoint_of_such_an_id_is_evaluated_by_a_new_process(tmp_path: Path) -> None:
    gymnasium.register("Mine-v0", Counting, max_episode_steps=5)
    algo = PPO.build(env="Mine-v0", **SMALL)
    path = algo.save(str(tmp_path / "saved")).checkpoint.path
    algo.stop()
    done = subprocess.run([sys.executable, "-c", EVALUATES, path], capture_output=True, text=True, timeout=120)
    assert "return_mean" in done.stdout, done.stderr
