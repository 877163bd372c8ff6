"""Evaluation in separate environments."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.sampling.envs import Clockwork, Endless
from tests.small import small_trial
from tuneexp.files import checkpoint
from tuneexp.report.training_result import progress_line
from tuneexp.sampling import evaluation
from tuneexp.sampling.evaluation import evaluate
from tuneexp.trial.from_checkpoint import evaluate_checkpoint

ENDLESS = "tests.sampling.envs:Endless"


def test_the_return_is_of_the_first_episode_of_each_environment() -> None:
    """Clockwork's first episode has the rewards 1 to 5. Later episodes, while others still run, don't count."""
    trial = small_trial(env=Clockwork)
    played = evaluate(trial.group.policy, Clockwork, {}, episodes=5, seed=0)
    assert played.returns.shape == (2, 5)
    assert not played.partial.any()
    assert (played.returns == 15.0).all()


def test_episodes_of_different_lengths_are_counted_to_their_own_ends() -> None:
    trial = small_trial()  # CartPole: the return is the length
    returns = evaluate(trial.group.policy, "CartPole-v1", {}, episodes=8, seed=0).returns
    assert len(np.unique(returns)) > 2
    assert returns.min() < 100


def test_an_evaluation_without_an_end_is_cut_and_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(evaluation, "LONG_STEPS", 5)
    trial = small_trial(env=Endless)
    with caplog.at_level(logging.WARNING, "tuneexp"):
        done = evaluate(trial.group.policy, Endless, {}, episodes=2, seed=0, max_steps=10)
    assert (done.returns == sum(range(1, 11))).all()
    assert done.partial.all()
    busy, stopped = (record.getMessage() for record in caplog.records)
    assert "5 steps" in busy
    assert "4 of 4" in stopped
    assert all("evaluation.max_steps" in message for message in (busy, stopped))


def test_only_episodes_without_an_end_are_partial() -> None:
    trial = small_trial()  # CartPole: an episode is as long as its return
    done = evaluate(trial.group.policy, "CartPole-v1", {}, episodes=8, seed=0, max_steps=10)
    whole = evaluate(trial.group.policy, "CartPole-v1", {}, episodes=8, seed=0)
    assert not whole.partial.any()
    assert np.array_equal(done.partial, whole.returns > 10)
    assert np.array_equal(done.returns, np.minimum(whole.returns, 10))


def test_partial_returns_are_marked_in_results_and_after_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = small_trial(env=ENDLESS, evaluation={"episodes": 3, "final_episodes": 3, "max_steps": 7})
    metrics = trial.advance()
    assert metrics["return_per_seed"] == [28.0, 28.0]
    assert metrics["partial_episodes"] == 6
    assert "6 evaluation episodes" in progress_line(metrics, 100)
    checkpoint.write(tmp_path / "endless", trial.state_dict())
    monkeypatch.setenv("TUNEEXP_TRUST", "1")
    found = evaluate_checkpoint(tmp_path / "endless", episodes=4)
    assert (found["return_mean"], found["partial_episodes"]) == (28.0, 8)
    assert small_trial().advance()["partial_episodes"] == 0
