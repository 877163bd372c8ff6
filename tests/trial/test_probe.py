"""A short training that measures the costs of a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.small import small_config
from tuneexp.trial import probe as module
from tuneexp.trial.probe import ASKED, FOUND, main, probe

TINY = {"hidden_sizes": [4]}
DQN = {"learning_starts": 400, "buffer_size": 500, "batch_size": 8, "train_freq": 1, "model": TINY}


def test_learning_is_measured_from_the_start_and_a_full_replay_buffer_counts(untraced: None, tmp_path: Path) -> None:
    config = small_config(algorithm="dqn", budget_env_steps=1000, hyperparameters=DQN)
    found = probe(config, 0.05, tmp_path)
    row = 2 * 4 * 4 + 8 + 4 + 1  # two observations, action, reward, terminated
    assert 2 * 500 * row < found.checkpoint_bytes < 2 * 2 * 500 * row  # two seeds
    without = probe(small_config(algorithm="dqn", budget_env_steps=1000, hyperparameters=DQN | {"buffer_size": 8}),
                    0.0, tmp_path / "other")  # fmt: skip
    assert found.checkpoint_bytes - without.checkpoint_bytes > 2 * 490 * row


def test_the_cohorts_of_a_race_are_measured_apart_and_added(tmp_path: Path) -> None:
    cohorts = [{"from_env_steps": 64 * place, "seeds": seeds} for place, seeds in enumerate((1, 1, 3))]
    found = probe(small_config(seeds=range(5), cohorts=cohorts), 0.0, tmp_path)
    first, second, last = found.cohorts_s
    assert first == second  # of one size
    assert found.step_s == pytest.approx(first + second + last)
    assert found.cpu_s > 0
    stack = probe(small_config(seeds=range(3)), 0.0, tmp_path)
    assert found.checkpoint_bytes > stack.checkpoint_bytes
    assert stack.cohorts_s == ()


def test_a_long_evaluation_is_stopped(untraced: None, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "EVALUATION_STEPS", 5)
    found = probe(small_config(wrappers=[{"TimeLimit": {"max_episode_steps": 50}}]), 0.0, tmp_path)
    assert (found.evaluation_steps, found.longest_episode) == (5, 50)
    assert len(found.chunks_s) == 1


def test_the_process_answers_with_the_reason_of_a_refusal(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module.signal, "alarm", lambda seconds: None)
    config = small_config(hyperparameters={"n_step": 3}).model_dump(mode="json")
    (tmp_path / ASKED).write_text(json.dumps({"config": config, "seconds": 0.1, "limit_s": 9, "path": []}))
    main(str(tmp_path))
    assert "'n_steps'" in json.loads((tmp_path / FOUND).read_text())["refused"]
