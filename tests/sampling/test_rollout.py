"""Rollouts and evaluations in tensor environments by one function, against the environments stepped through Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.small import small_trial
from tuneexp.algorithms.registry import load_spec
from tuneexp.errors import EnvironmentFault
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

HERE = "tests.envs.tensor.programs"
OFF_POLICY: dict[str, Any] = {"n_envs": 2, "train_freq": 16, "batch_size": 8, "learning_starts": 16, "buffer_size": 200}


def ppo(env: str, **changes: Any) -> Trial:
    return small_trial([3, 7], env=env, env_backend="tensor", **changes)


def off_policy(algorithm: str, env: str, **changes: Any) -> Trial:
    config = {
        "algorithm": algorithm, "env": env, "env_backend": "tensor", "env_kwargs": {"max_episode_steps": 30},
        "seeds": [3, 7], "budget_env_steps": 640, "compile": "off",
        "hyperparameters": {**OFF_POLICY, "model": {"hidden_sizes": [8]}, **changes},
    }  # fmt: skip
    return Trial(load_spec(algorithm), TrialConfig.parse(config, "the test"))


CASES: dict[str, Any] = {
    "plain": lambda: ppo("CartPole-v1"),
    "normalised": lambda: ppo("CartPole-v1", normalize_observation=True, normalize_reward=True),
    "one seed": lambda: small_trial([3], env="CartPole-v1", env_backend="tensor"),
    "continuous actions": lambda: ppo("Pendulum-v1", env_kwargs={"max_episode_steps": 30}),
    "dictionary": lambda: ppo(f"{HERE}:Mixed"),
    "recurrent": lambda: ppo(f"{HERE}:Counting", model={"hidden_sizes": [8], "recurrent": "gru", "recurrent_size": 4}),
    "exploration by the clock": lambda: off_policy("dqn", "CartPole-v1", exploration_fraction=0.9),
    "normalised in the buffer": lambda: off_policy("dqn", "CartPole-v1", normalize_observation=True),
    "held noise": lambda: off_policy("sac", "Pendulum-v1", use_sde=True, sde_sample_freq=3),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rollout_takes_the_steps_that_python_takes_one_by_one(case: str) -> None:
    whole, plain = CASES[case](), CASES[case]()
    assert whole.group.policy.rollout is not None
    plain.group.policy.rollout = None
    for n_steps in (40, 1, 25):
        one, other = whole.group.sample(n_steps), plain.group.sample(n_steps)
        assert set(one) == set(other)
        for name in other:
            assert torch.equal(one[name], other[name]), name
    assert (one["terminated"] | one["truncated"]).any()
    mine, theirs = whole.group.state_dict(), plain.group.state_dict()
    assert np.array_equal(mine["episodes"]["returns"], theirs["episodes"]["returns"], equal_nan=True)
    assert (mine["runners"][0]["raw"] == theirs["runners"][0]["raw"]).all()


@pytest.mark.parametrize("case", ["plain", "normalised", "dictionary", "recurrent"])
@pytest.mark.parametrize("episodes", [1, 5])
def test_an_evaluation_in_slots_plays_the_episodes_of_an_environment_for_each(case: str, episodes: int) -> None:
    trial = CASES[case]()
    trial.group.sample(20)
    played = trial.source.evaluate(episodes, seed=4)
    trial.group.policy.rollout = None
    expected = trial.source.evaluate(episodes, seed=4)
    assert np.array_equal(played.returns, expected.returns)
    assert played.returns.shape == (2, episodes)
    assert played.steps == expected.steps
    assert not played.partial.any()


def test_an_evaluation_in_slots_is_cut_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    trial = ppo(f"{HERE}:Endless", evaluation={"max_steps": 70})
    played = trial.source.evaluate(3, seed=0)
    assert played.partial.all()
    assert (played.returns == sum(range(1, 71))).all()
    assert "6 of 6" in caplog.text


@pytest.mark.parametrize("call", [lambda trial: trial.group.sample(20), lambda trial: trial.source.evaluate(2, seed=0)])
def test_a_result_that_is_not_finite_is_a_fault_of_its_environment(call: Any) -> None:
    trial = ppo(f"{HERE}:Overflowing")
    with pytest.raises(EnvironmentFault, match=r"seed \d, index 0: the reward is not finite: inf"):
        call(trial)
