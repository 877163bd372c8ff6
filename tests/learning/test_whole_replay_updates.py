"""Whole updates of algorithms with a replay buffer by one program, against updates step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.learning.whole import require_equal, use_whole_updates
from tuneexp.algorithms.registry import load_spec
from tuneexp.training.replay_ops import replay_updates
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

ENVS = {"dqn": "CartPole-v1", "qrdqn": "CartPole-v1"}
SETTINGS: dict[str, dict[str, Any]] = {
    "dqn": {"target_update_interval": 4, "tau": 0.3},
    "qrdqn": {"target_update_interval": 4, "n_quantiles": 5},
    "tqc": {"target_update_interval": 2, "tau": 1.0, "n_quantiles": 4},
    "td3": {"policy_delay": 3},
}


def replay_trial(algorithm: str, seeds: range, **changes: Any) -> Trial:
    """A trial whose buffer has the rows of 20 steps."""
    hyperparameters = {
        "n_envs": 2, "buffer_size": 60, "batch_size": 8, "learning_starts": 0, "train_freq": 4, "gradient_steps": 0,
        "learning_rate": 1e-2, "model": {"hidden_sizes": [8]}, **SETTINGS.get(algorithm, {}), **changes,
    }  # fmt: skip
    config = TrialConfig.parse(
        {
            "algorithm": algorithm, "env": ENVS.get(algorithm, "Pendulum-v1"), "seeds": list(seeds),
            "budget_env_steps": 4000, "compile": "off", "hyperparameters": hyperparameters,
        },
        "the test",
    )  # fmt: skip
    trial = Trial(load_spec(algorithm), config)
    for _ in range(5):
        trial.training_step()
    return trial


def learn(trial: Trial, n_updates: int) -> None:
    """Take updates as a training step does, without a rollout."""
    experience = trial.trainer.experience
    assert experience is not None
    replay_updates(trial.learner, experience, n_updates, 8, trial.trainer.training.view)


def rows(trial: Trial) -> dict[str, Tensor]:
    """Storage of the replay buffer, by seed."""
    experience = trial.trainer.experience
    assert experience is not None
    return experience.buffer._columns


def move_target(trial: Trial) -> None:
    """Move target networks that follow environment steps."""
    target = trial.learner.target
    assert target is not None
    target.before_rollout(0, 20, ~trial.learner.failed)


@pytest.mark.parametrize(
    ("algorithm", "n_seeds"),
    [("dqn", 1), ("qrdqn", 3), ("sac", 1), ("sac", 8), ("td3", 3), ("tqc", 3)],
)
def test_each_update_equals_that_of_the_optimizer_called_from_python(algorithm: str, n_seeds: int) -> None:
    """One by one and in blocks, with target networks, update periods and a diverging seed."""
    whole, single = (replay_trial(algorithm, range(n_seeds)) for _ in range(2))
    assert use_whole_updates(whole)
    for n_updates in (1, 1, 2, 5):
        for trial in (whole, single):
            learn(trial, n_updates)
            move_target(trial)
        require_equal(whole.learner, single.learner)
    if n_seeds > 1:
        for trial in (whole, single):
            rows(trial)["reward"][1] = torch.nan
        learn(whole, 4)
        learn(single, 4)
        require_equal(whole.learner, single.learner)
        assert whole.learner.failed.tolist() == [seed == 1 for seed in range(n_seeds)]


@pytest.mark.parametrize(
    "changes",
    [
        {"normalize_observation": True, "normalize_reward": True},
        {"prioritized": True},
        {"learning_rate": "linear:0.0001", "optimizer_class": "SGD", "optimizer_kwargs": {"momentum": 0.9}},
    ],
)
def test_training_steps_are_equal(changes: dict[str, Any]) -> None:
    """With rows that are gathered before the program, n-step windows, and seeds without rows."""
    whole, single = (
        replay_trial("td3", range(3), n_step=3, train_freq=1, gradient_steps=2, **changes) for _ in range(2)
    )
    assert use_whole_updates(whole)
    for _ in range(12):
        for trial in (whole, single):
            trial.training_step()
        require_equal(whole.learner, single.learner)


def test_the_optimizer_counts_the_steps_of_each_part_and_either_path_continues() -> None:
    whole, single = (replay_trial("td3", range(1)) for _ in range(2))
    plain = dict(whole.learner._steps)
    assert use_whole_updates(whole)
    learn(whole, 8)
    learn(single, 8)
    optimizer = whole.learner.optimizer
    counted = {block.part: int(optimizer.optimizer.state[block.parameter]["step"]) for block in optimizer.blocks}
    assert counted == {"actor": 2, None: 8}
    saved = [trial.learner.state_dict() for trial in (single, whole)]
    for trial, state in zip((whole, single), saved, strict=True):
        trial.learner.load_state_dict(state)
    assert use_whole_updates(single)
    whole.learner.use_programs(plain)
    learn(whole, 5)
    learn(single, 5)
    require_equal(whole.learner, single.learner)


def test_a_new_table_of_numbers_continues_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table ends, and the learning rate changes."""
    monkeypatch.setattr("tuneexp.learning.functional_state.ROWS_AHEAD", 4)
    whole, single = (replay_trial("sac", range(1)) for _ in range(2))
    assert use_whole_updates(whole)
    for number, n_updates in enumerate((1, 2, 1, 3, 1, 6, 1)):
        for trial in (whole, single):
            if number == 4:
                trial.learner.optimizer.set_learning_rate_factor(0.5)
            learn(trial, n_updates)
        require_equal(whole.learner, single.learner)
