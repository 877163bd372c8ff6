"""Sweeps of earlier versions: their log names a narrowed choice by its options."""

from __future__ import annotations

import pickle
from pathlib import Path

import optuna

from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.suggestions import append_suggestion

optuna.logging.set_verbosity(optuna.logging.WARNING)
MAPPING = {"n_steps": {"choice": [16, 64]}, "batch_size": {"choice": [64, 128, 512]}}


def searcher(log: Path) -> StudySearcher:
    space = SearchSpace.of(MAPPING).validate(PPOConfig, {}, "ppo")
    return StudySearcher(space, optuna.samplers.TPESampler(seed=0, n_startup_trials=2), "study", 1000, log)


def old_study() -> optuna.Study:
    """Three trials as the earlier version recorded them; the second has a narrowed choice."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=2), direction="maximize")
    for n_steps, batch in ((64, 512), (16, 128), (64, 64)):
        trial = study.ask()
        trial.suggest_categorical("n_steps", [16, 64])
        if n_steps == 16:
            trial.suggest_categorical("batch_size in [64, 128]", [64, 128])
        else:
            trial.suggest_categorical("batch_size", [64, 128, 512])
        study.tell(trial, float(batch))
    return study


def test_a_stored_suggestion_is_repeated_with_its_values(tmp_path: Path) -> None:
    append_suggestion(tmp_path / "log", 0, {"n_steps": 16, "batch_size in [64, 128]": 128})
    assert searcher(tmp_path / "log").suggest("t")["hyperparameters"] == {"n_steps": 16, "batch_size": 128}


def test_a_study_with_the_earlier_names_continues(tmp_path: Path) -> None:
    state = {"study": old_study(), "trials": {}, "unlogged": None}
    (tmp_path / "state").write_bytes(pickle.dumps(state))
    append_suggestion(tmp_path / "log", 3, {"n_steps": 16, "batch_size in [64, 128]": 64})
    found = searcher(tmp_path / "log")
    found.restore(str(tmp_path / "state"))
    suggestions = [found.suggest(f"t{number}") for number in range(8)]
    assert suggestions[0] == {"trial_number": 3, "hyperparameters": {"n_steps": 16, "batch_size": 64}}
    for suggestion in suggestions:
        PPOConfig.parse(suggestion["hyperparameters"], "ppo")
