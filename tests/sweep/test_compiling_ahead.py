"""Programs of the first trial are compiled while Ray starts, where that saves time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.small import HYPERPARAMETERS
from tuneexp.algorithms.registry import config_class_of
from tuneexp.learning.compile.cache import cache_folder, package_of
from tuneexp.sweep import Sweep, compiling_ahead
from tuneexp.trial import ahead
from tuneexp.trial.trial_config import TrialConfig

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
FIXED = {name: value for name, value in HYPERPARAMETERS.items() if name not in ("learning_rate", "batch_size")}
LONG: dict[str, Any] = {"budget_env_steps": 10**6, "fixed": FIXED}


class Started:
    """Trials whose programs would be compiled ahead by a sweep."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trials: list[TrialConfig] = []
        self._storage = tmp_path / "runs"
        monkeypatch.setenv("TUNEEXP_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(compiling_ahead, "start_compiling", self.trials.append)

    def of(self, space: Any = SPACE, **settings: Any) -> list[TrialConfig]:
        self.trials.clear()
        sweep = Sweep("ppo", "CartPole-v1", space, trials=4, seeds=2, storage=self._storage, **{**LONG, **settings})
        compiling_ahead._started(sweep.resolved, sweep.space)
        return self.trials


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    return Started(tmp_path, monkeypatch)


def test_the_programs_of_the_first_trial_are_compiled_ahead(started: Started) -> None:
    points = [{"learning_rate": 1e-3, "batch_size": 32}]
    (trial,) = started.of(space={**SPACE, "batch_size": {"choice": [16, 32]}}, points=points)
    assert trial.hyperparameters["batch_size"] == 32
    assert trial.hyperparameters["n_steps"] == HYPERPARAMETERS["n_steps"]
    assert len(trial.seeds) == 2
    (racing,) = started.of(
        points=[{"learning_rate": 1e-3}],
        fixed={**FIXED, "batch_size": 32},
        scheduler={"name": "asha", "seeds": {"start": 1}},
    )
    assert (racing.seeds, racing.cohorts) == ([0], [])  # of the seed that it starts with


@pytest.mark.parametrize(
    "settings",
    [
        {"budget_env_steps": 1000},
        {"compile": "off"},
        {"fixed": {**FIXED, "num_env_runners": 1}},
        {"space": {**SPACE, "model/activation": {"choice": ["tanh", "relu"]}}},
    ],
    ids=["too little work", "off", "runner processes", "unknown before it is suggested"],
)
def test_nothing_is_compiled_ahead_where_it_saves_no_time(started: Started, settings: dict[str, Any]) -> None:
    assert not started.of(**settings)


def test_a_sweep_whose_programs_are_noted_as_cached_starts_no_process(started: Started) -> None:
    (trial,) = started.of()
    note = ahead._note(trial, config_class_of("ppo").parse(trial.hyperparameters, "ppo"))
    cache_folder().mkdir(parents=True)
    note.write_text(json.dumps(["one", "two"]))
    package_of("one").touch()
    assert started.of(), "a program is missing"
    package_of("two").touch()
    assert not started.of()
    assert not started.of(space={"gamma": {"uniform": [0.9, 0.99]}}), "numbers are no part of a program"
    assert started.of(fixed={**FIXED, "batch_size": 32})
