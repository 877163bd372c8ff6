"""Programs are reused by later trials that they fit, and by no other."""

from __future__ import annotations

from typing import Any

from tuneexp.algorithms.td3 import TD3
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

HALVED: list[Any] = [{"RescaleAction": {"min_action": -1.0, "max_action": 1.0}}]


def td3_on_pendulum(wrappers: list[Any]) -> Trial:
    settings = {
        "algorithm": "td3", "env": "Pendulum-v1", "seeds": [0, 1], "wrappers": wrappers, "budget_env_steps": 1000,
        "compile": "off", "hyperparameters": {"model": {"hidden_sizes": [8]}, "batch_size": 8, "learning_starts": 8},
    }  # fmt: skip
    return Trial(TD3, TrialConfig.parse(settings, "the test"))


def test_programs_are_not_shared_with_actions_of_other_bounds(fresh_programs: None) -> None:
    """The shapes are equal; the bounds are constants of the networks."""
    plain, again, halved = td3_on_pendulum([]), td3_on_pendulum([]), td3_on_pendulum(HALVED)
    assert again.trainer.programs is plain.trainer.programs
    assert halved.trainer.programs is not plain.trainer.programs
    for trial, bound in ((plain, 2.0), (halved, 1.0)):
        for parameter in trial.learner.parameters.values():
            parameter.fill_(10.0)  # a deterministic actor at its bound
        action = trial.group.policy.exploit(trial.group.sample(1)["obs"][0]).action
        assert action.abs().max() == bound
        trial.close()
