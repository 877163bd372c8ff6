"""Preflight checks of algorithm, environment and budget: the error names values that fit."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp import Sweep
from tuneexp.algorithms.registry import load_spec
from tuneexp.errors import UserError
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig


def trial(algorithm: str, env: str, budget: int = 1000, **hyperparameters: Any) -> Trial:
    config = {"algorithm": algorithm, "env": env, "budget_env_steps": budget, "hyperparameters": hyperparameters}
    return Trial(load_spec(algorithm), TrialConfig.parse(config, "the test"))


def test_an_algorithm_that_cannot_act_there_is_reported_with_those_that_can() -> None:
    with pytest.raises(UserError, match=r"dqn .*discrete .*Pendulum-v1 .*continuous") as told:
        trial("dqn", "Pendulum-v1")
    fitting = str(told.value).splitlines()[-1]
    assert {"ppo", "sac"} <= set(fitting.partition(": ")[2].split(", "))
    assert "dqn" not in fitting


def test_sac_acts_in_discrete_spaces_too() -> None:
    trial("sac", "CartPole-v1", model={"hidden_sizes": [4]}, buffer_size=1000).close()


@pytest.mark.parametrize(
    ("hyperparameters", "said"),
    [
        ({"learning_starts": 1000}, "learning_starts=1000 .* 1000"),
        ({"buffer_size": 16}, "batch_size=32 .*buffer_size=16; .*batch_size=16"),
        ({"buffer_size": 10**12}, "48000.00 GB"),
    ],
)
def test_numbers_that_cannot_work_are_reported_before_anything_runs(hyperparameters: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        trial("dqn", "CartPole-v1", **hyperparameters)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"env": "Pendulum-v1"}, "dqn .*discrete"),
        ({"fixed": {"learning_starts": 5000}}, "learning_starts=5000"),
        ({"space": {"learning_starts": {"choice": [100, 20000]}}}, "learning_starts=20000"),
    ],
)
def test_a_sweep_is_refused_before_it_starts(changes: dict[str, Any], said: str, tmp_path: Any) -> None:
    space = {"learning_rate": {"loguniform": [1e-4, 1e-3]}}
    settings = {"algorithm": "dqn", "env": "CartPole-v1", "space": space, "budget_env_steps": 5000, **changes}
    with pytest.raises(UserError, match=said):
        Sweep(**settings, name="refused", storage=tmp_path)
    assert not (tmp_path / "refused").exists()
