"""Samplers behind Tune's searcher: the end of an exhausted one, and a kill in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from ray.tune.search import Searcher

from tuneexp.sweep.search.choice import SAMPLERS, SamplerContext, build_sampler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import StopRules

optuna.logging.set_verbosity(optuna.logging.WARNING)
OWN = Path(__file__).with_name("own_sampler.py")
FINITE = {"width": {"int": [1, 3]}, "activation": {"choice": ["tanh", "relu"]}}
MIXED = {**FINITE, "rate": {"loguniform": [1e-4, 1e-1]}, "ent": {"choice": [0.0, {"uniform": [0.1, 1.0]}]}}


def searcher(folder: Path, sampler: Any, mapping: dict[str, Any], trials: int | None = None) -> StudySearcher:
    space = SearchSpace.of(mapping)
    made = build_sampler(sampler, SamplerContext(0, 16, space))
    return StudySearcher(space, made, "study", 1000, folder / "log", limits=Limits(StopRules(trials)))


def play(found: StudySearcher, first: int, count: int) -> list[Any]:
    """Suggest and end trials; of four, two complete, one is pruned and one fails."""
    suggestions = []
    for number in range(first, first + count):
        suggestion = found.suggest(f"t{number}")
        if suggestion == Searcher.FINISHED:
            break
        suggestions.append(suggestion)
        result = {"objective": float(number % 5), "env_steps": 400 if number % 4 == 1 else 1000}
        found.on_trial_result(f"t{number}", {"objective": 0.5, "env_steps": 200})
        found.on_trial_complete(f"t{number}", result, error=number % 4 == 3)
    return suggestions


@pytest.mark.parametrize("sampler", ["grid", "brute_force"])
def test_an_exhausted_sampler_finishes_the_sweep(tmp_path: Path, sampler: str) -> None:
    found = searcher(tmp_path, sampler, FINITE)
    suggestions = play(found, 0, 20)
    assert len({str(one["hyperparameters"]) for one in suggestions}) == len(suggestions) == 6
    assert found.exhausted
    assert found.suggest("more") == Searcher.FINISHED


@pytest.mark.parametrize("sampler", ["grid", "brute_force"])
def test_it_finishes_while_its_last_trials_run_and_after_a_restore(tmp_path: Path, sampler: str) -> None:
    found = searcher(tmp_path, sampler, FINITE)
    for number in range(6):
        assert isinstance(found.suggest(f"t{number}"), dict)
    assert found.suggest("more") == Searcher.FINISHED
    found.save(str(tmp_path / "state"))
    restored = searcher(tmp_path, sampler, FINITE)
    restored.restore(str(tmp_path / "state"))
    assert restored.suggest("more") == Searcher.FINISHED


def test_fewer_trials_than_points_are_the_trials(tmp_path: Path) -> None:
    assert len(play(searcher(tmp_path, "grid", FINITE, trials=4), 0, 20)) == 4


def test_a_sampler_that_stops_its_study_finishes_the_sweep(tmp_path: Path) -> None:
    found = searcher(tmp_path, f"{OWN}:Stopping", FINITE)
    assert len(play(found, 0, 20)) == 3
    found.save(str(tmp_path / "state"))
    restored = searcher(tmp_path, f"{OWN}:Stopping", FINITE)
    restored.restore(str(tmp_path / "state"))
    assert restored.suggest("more") == Searcher.FINISHED


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])  # gp: in its contract
def test_a_killed_sweep_suggests_the_same_as_an_undisturbed_one(tmp_path: Path, sampler: str) -> None:
    mapping = FINITE if sampler in ("grid", "brute_force") else MIXED
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    expected = play(searcher(tmp_path / "whole", sampler, mapping), 0, 14)
    first = searcher(tmp_path / "killed", sampler, mapping)
    play(first, 0, 4)
    first.save(str(tmp_path / "state"))
    play(first, 4, 2)  # lost, but logged
    second = searcher(tmp_path / "killed", sampler, mapping)
    second.restore(str(tmp_path / "state"))
    assert play(second, 4, 10) == expected[4:]
