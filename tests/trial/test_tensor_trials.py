"""Trials in tensor environments: exact resume, shards of env runners, the policy in one environment, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.small import small_config, small_trial
from tuneexp.algorithms.ppo import PPO
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.files import checkpoint
from tuneexp.testing.subject import differences
from tuneexp.trial import Trial, environments
from tuneexp.trial.env_choice import chosen_backend
from tuneexp.trial.loaded_policies import policy_from_checkpoint

PARKING = str(Path(__file__).parents[2] / "experiments" / "tensor_environment.py") + ":Parking"
CASES: list[tuple[str, dict[str, Any]]] = [
    ("CartPole-v1", {"env_backend": "tensor"}),
    (PARKING, {"env_kwargs": {"wind": 0.01, "max_episode_steps": 20}}),
]


def learned(trial: Trial) -> dict[str, Any]:
    state = trial.state_dict()
    return {name: state[name] for name in ("learner", "group")}


@pytest.mark.parametrize(("env", "changes"), CASES)
def test_a_trial_continues_from_a_checkpoint_bit_for_bit(tmp_path: Path, env: str, changes: dict[str, Any]) -> None:
    trial = small_trial(env=env, **changes)
    trial.advance()
    folder = checkpoint.write(tmp_path / "half", trial.state_dict())
    again = Trial(PPO, small_config(env=env, **changes))
    again.load_state_dict(checkpoint.read(folder))
    for one in (trial, again):
        one.advance()
        one.close()
    assert not differences(learned(trial), learned(again))
    assert trial.state_dict()["group"]["runners"][0]["envs"] is not None


CHOICES: list[tuple[dict[str, Any], str]] = [
    ({"compile": "on"}, "tensor"),
    ({"compile": "auto", "expected_trials": 10_000}, "tensor"),
    ({"compile": "later", "expected_trials": 10_000}, "tensor"),
    ({"compile": "auto"}, "auto"),
    ({"compile": "off", "expected_trials": 10_000}, "auto"),
    ({"compile": "on", "env_backend": "sync"}, "sync"),
    ({"compile": "on", "env": "FrozenLake-v1"}, "auto"),
    ({"compile": "on", "wrappers": ["ClipAction"]}, "auto"),
    ({"compile": "on", "env_kwargs": {"render_mode": "rgb_array"}}, "auto"),
    ({"compile": "on", "num_env_runners": 1}, "auto"),
]


@pytest.mark.parametrize(("changes", "backend"), CHOICES)
def test_auto_chooses_a_tensor_program_where_it_will_be_compiled(changes: dict[str, Any], backend: str) -> None:
    config = small_config(**changes)
    assert chosen_backend(config, PPO.config_class.parse(config.hyperparameters, "ppo")) == backend


def test_a_checkpoint_continues_in_environments_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    trial, again = small_trial(env_backend="tensor"), small_trial()
    trial.advance()
    again.load_state_dict(trial.state_dict())
    for one in (trial, again):
        one.advance()
    assert not differences(learned(trial), learned(again))

    # Chosen, but then nothing is compiled.
    monkeypatch.setattr(environments, "chosen_backend", lambda *_: "tensor")
    native, other = small_trial(), small_trial(env_backend="native")
    for one in (native, other):
        one.advance()
    assert native.group.policy.rollout is None
    assert not differences(learned(native), learned(other))


def test_a_shard_of_the_environments_takes_the_steps_of_the_whole() -> None:
    whole, shard = SeedEnvs(PARKING, [0, 4], 4), SeedEnvs(PARKING, [4], 2, first_env=2)
    assert whole.facts.apart
    assert np.array_equal(whole.reset()[1:, 2:], shard.reset())
    for _ in range(130):  # its noise is drawn in blocks
        step, own = whole.step(np.full((2, 4), 2)), shard.step(np.full((1, 2), 2))
        np.testing.assert_allclose(step.obs[1:, 2:], own.obs, rtol=1e-5)


def test_the_policy_of_a_tensor_environment_acts_in_one_and_draws_it(tmp_path: Path) -> None:
    trial = small_trial(env=PARKING)
    trial.advance()
    folder = checkpoint.write(tmp_path / "one", trial.state_dict())
    trial.close()
    policy = policy_from_checkpoint(folder, trust=True)
    env = policy.make_env(render_mode="rgb_array")
    obs, _ = env.reset(seed=0)
    for _ in range(100):
        obs, _, terminated, truncated, _ = env.step(policy(obs))
        if terminated or truncated:
            break
    assert terminated or truncated
    picture = env.render()
    assert picture.shape == (40, 400, 3)
    assert picture.dtype == np.uint8
