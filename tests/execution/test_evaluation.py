"""Evaluation in environments of its own."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from tests.execution.envs import Clockwork, Endless
from tests.small import small_trial
from tuneexp.execution import evaluation
from tuneexp.execution.evaluation import evaluate


def test_the_return_is_of_the_first_episode_of_each_environment() -> None:
    """Clockwork's first episode: rewards 1 to 5, and not those of the next one while others still run."""
    trial = small_trial(env=Clockwork)
    returns = evaluate(trial.group.policy, Clockwork, {}, episodes=5, seed=0)
    assert returns.shape == (2, 5)
    assert (returns == 15.0).all()


def test_episodes_of_different_lengths_are_counted_to_their_own_ends() -> None:
    trial = small_trial()  # CartPole: the return is the length
    returns = evaluate(trial.group.policy, "CartPole-v1", {}, episodes=8, seed=0)
    assert len(np.unique(returns)) > 2
    assert returns.min() < 100


def test_an_evaluation_without_an_end_is_cut_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(evaluation, "MOST_STEPS", 10)
    trial = small_trial(env=Endless)
    with caplog.at_level(logging.WARNING, "tuneexp"):
        returns = evaluate(trial.group.policy, Endless, {}, episodes=2, seed=0)
    assert (returns == sum(range(1, 11))).all()
    assert "time limit" in caplog.text
