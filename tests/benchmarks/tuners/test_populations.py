"""Populations and their controls train the same first members, in real training; stored repetitions are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.recording.tasks import TASKS, miniature
from benchmarks.tuners import population_search, populations
from benchmarks.tuners.population_search import Setup, evolution_of, first_members, searched, without_one_for_all
from benchmarks.tuners.populations import METHODS, RANDOM, Results
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

SETUP = Setup(members=4, seeds=1, fresh_seeds=2, final_episodes=1, compilation="off")
SMALL = {"n_envs": 2, "n_steps": 16, "batch_size": 32, "n_epochs": 1, "model": {"hidden_sizes": [8]}}
TINY = replace(miniature(TASKS["ppo_CartPole-v1"], env_steps=320), fixed=SMALL)


def test_a_schedule_is_trained_again_as_the_lineage_of_the_winner(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrialConfig] = []
    monkeypatch.setattr(population_search, "Trial", lambda spec, config: asked.append(config) or Trial(spec, config))
    method = {"name": "pbt", "quantile": 0.5, "interval_env_steps": 128}
    found = searched(TINY, SETUP, method, repetition=1)
    (config,) = asked
    assert found["schedule"]
    assert config.schedule == found["schedule"]
    assert {one["env_steps"] for one in config.schedule} <= {128, 256}
    assert found["start"] in first_members(TINY, 4, 1)
    assert found["start"] == {name: config.hyperparameters[name] for name in TINY.space}
    assert config.seeds == [1002, 1003]
    assert len(found["fresh"]) == 2


def test_random_search_replaces_nobody_and_exploit_alone_moves_nothing() -> None:
    found = searched(TINY, SETUP, METHODS[RANDOM], repetition=1)
    assert found["schedule"] == []
    assert found["start"] in first_members(TINY, 4, 1)
    evolution = evolution_of(TINY, SETUP, METHODS[populations.EXPLOIT], 1)
    values: list[dict[str, Any]] = first_members(TINY, 4, 1)
    decision = evolution.population.decide([1.0, 2.0, 3.0, 4.0], values, np.random.default_rng(0))
    assert [values.index(one) for one in decision.values] == list(decision.donors)
    assert decision.replaced == [0]


def test_a_stack_that_scales_rewards_has_one_gamma() -> None:
    spaces = [set(without_one_for_all(TASKS[name]).space) for name in populations.CHOSEN]
    assert [("gamma" in names, len(names)) for names in spaces] == [(True, 5), (False, 4)]


def test_stored_repetitions_are_kept_and_the_next_ones_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []

    def constant(task: Any, setup: Setup, method: Any, repetition: int) -> dict[str, Any]:
        trained.append(repetition)
        return {"objective": 100.0, "fresh": [90.0 + (method == "pbt"), 90.0], "schedule": [], "cpu_s": 1.0}

    monkeypatch.setattr(populations, "searched", constant)
    path = tmp_path / "populations.json"
    populations.measure([TINY], SETUP, 2, Results(path, SETUP), lambda line: None)
    populations.measure([TINY], SETUP, 3, Results(path, SETUP), lambda line: None)
    assert trained == [repetition for repetition in range(3) for _ in METHODS]
    with pytest.raises(SystemExit, match="move it away"):
        Results(path, replace(SETUP, members=8))
    stored = json.loads(path.read_text())["tasks"][TINY.name]
    compared = populations.compared(TINY.name, stored, width=50.0)
    pbt, random = compared["methods"]["pbt"], compared["methods"][RANDOM]
    assert pbt["score"] == (90.5, 90.5, 90.5)
    assert pbt["beats_random"][0] == 1.0
    assert random["beats_random"][0] == 0.5
    assert pbt["from_random"][0] == pytest.approx(0.5 / 50)
    assert random["overstated"][0] == pytest.approx(10 / 50)
    scores, *_, overstated = populations.markdown([compared])
    assert f"{TINY.name}, 3 repetitions" in scores
    assert "20.0 (20.0 to 20.0)" in overstated
