"""Settings of an extended sweep: what is added, and what is refused before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.stored import store_sweep
from tuneexp.errors import UserError
from tuneexp.sweep import extend, load_config
from tuneexp.sweep import sweep as sweep_module
from tuneexp.sweep.extending import extended_config
from tuneexp.sweep.extension import Extension, extended, from_text, within_combinations
from tuneexp.sweep.other_settings import refuse_other_settings
from tuneexp.sweep.resuming import checked_stored_space
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import SearchState, StopRules, Tally
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig, read_config, save_config, stop_rules

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "model/activation": {"choice": ["tanh", "relu"]}}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SweepConfig:
    folder = store_sweep(tmp_path_factory.mktemp("stored"))
    return load_config(str(folder))


def longer(config: SweepConfig, tally: Tally, ended_by: str | None = None, **asked: Any) -> SweepConfig:
    return extended(config, SearchState(stop_rules(config), tally, ended_by), ended_by, Extension(**asked))


def test_no_member_joins_a_population_later(tmp_path: Path) -> None:
    folder = SweepFolder(store_sweep(tmp_path))
    for scheduler in ("pbt", {"name": "pbt", "population": "stacked"}):
        save_config(folder, read_config(folder).model_copy(update={"scheduler": scheduler}))
        with pytest.raises(UserError, match=r"none can join later; .*tuneexp sweep .*experiment.yaml --trials 4"):
            extended_config(folder, Extension(trials=1))


def test_trials_are_added_to_those_that_were_asked_for_or_suggested(config: SweepConfig) -> None:
    assert longer(config, Tally(3), "trials", trials=4).trials == 7
    assert longer(config, Tally(2), None, trials=4).trials == 7  # interrupted: three were asked for
    timed = config.model_copy(update={"trials": None, "time_budget_s": 60.0})
    assert longer(timed, Tally(5, elapsed_s=80.0), "time_budget_s", trials=4, time_budget_s=60.0).trials == 9
    assert longer(timed, Tally(5, elapsed_s=80.0), "time_budget_s", time_budget_s=60.0).time_budget_s == 140.0
    goal = config.model_copy(update={"until": 20.0})
    assert longer(goal, Tally(1, best=20.0), "until", until="none").until is None
    assert longer(goal, Tally(1, best=20.0), "until", until=30.0, trials=1).until == 30.0


def test_the_command_of_the_start_goes_on_after_extensions_and_another_one_is_refused(tmp_path: Path) -> None:
    folder = SweepFolder(store_sweep(tmp_path))
    first = read_config(folder)
    wider = {**SPACE, "learning_rate": {"loguniform": [1e-5, 1e-1]}}
    once = longer(first, Tally(2), None, trials=4, time_budget_s=60.0, space=wider)
    twice = longer(once, Tally(7), "trials", trials=2, until=99.0, time_budget_s=60.0)
    save_config(folder, twice)
    for asked in (first, once, read_config(folder)):
        refuse_other_settings(folder, asked)
    with pytest.raises(UserError, match=r"trials: 9, now 8.*\n.*tuneexp extend kept"):
        refuse_other_settings(folder, first.model_copy(update={"trials": 8}))
    with pytest.raises(UserError, match="searcher_seed: 0, now 1"):
        refuse_other_settings(folder, first.model_copy(update={"searcher_seed": 1}))


def test_metrics_of_a_stored_sweep_are_not_looked_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder(store_sweep(tmp_path))
    config = read_config(folder).model_copy(update={"constraints": ["update/entropy<=1"]})
    monkeypatch.setattr(sweep_module, "reported_metrics", lambda config: pytest.fail("looked up"))
    assert checked_stored_space(config, folder).names == list(SPACE)
    with pytest.raises(pytest.fail.Exception, match="looked up"):
        sweep_module.checked_space(config, SearchSpace.of(SPACE))


@pytest.mark.parametrize(
    ("changes", "tally", "asked", "words"),
    [
        ({}, Tally(3), {}, "write what to add, such as --trials 8"),
        ({}, Tally(3), {"time_budget_s": 60.0}, "all trials have ended; add --trials"),
        ({"time_budget_s": 60.0}, Tally(3, 70.0), {"trials": 2}, "time budget of 1m00s is used up; add --time-budget"),
        ({"until": 20.0}, Tally(3, best=21.0), {"trials": 2}, "reached the objective 20.0; add --until"),
        ({"stagnation": 2}, Tally(3, best=21.0, since_best=2), {"trials": 2}, "without a better one; add --stagnation"),
        ({"trials": None, "until": 2.0}, Tally(3, best=2.0), {"until": "none"}, "no rule would end the sweep"),
    ],
)
def test_an_extension_that_ends_at_once_is_refused_with_what_to_add(
    config: SweepConfig, changes: dict[str, Any], tally: Tally, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        longer(config.model_copy(update=changes), tally, **asked)


@pytest.mark.parametrize(
    ("searcher", "changes", "words"),
    [
        ("tpe", {"gamma": {"uniform": [0.9, 0.99]}}, "adds gamma.*--warm-start kept"),
        ("tpe", {"model/activation": None}, "drops model/activation"),
        ("tpe", {"model/activation": {"choice": ["tanh"]}}, "changes its options, which Optuna does not allow"),
        ("tpe", {"learning_rate": {"uniform": [1e-4, 1e-2]}}, "from loguniform to uniform"),
        ("tpe", {"gamma": 0.9}, "gamma changes from null to 0.9 in all trials"),
        (
            "cmaes",
            {"learning_rate": {"loguniform": [1e-5, 1e-2]}},
            r"cmaes can't follow a changed range \(learning_rate\)",
        ),
        ({"name": "tpe", "group": True}, {"learning_rate": {"loguniform": [1e-5, 1e-2]}}, "tpe with the option group"),
    ],
)
def test_a_space_that_a_study_or_its_sampler_cannot_follow_is_refused(
    config: SweepConfig, searcher: Any, changes: dict[str, Any], words: str
) -> None:
    space = {name: value for name, value in {**SPACE, **changes}.items() if value is not None}
    with pytest.raises(UserError, match=words):
        longer(config.model_copy(update={"searcher": searcher}), Tally(3), trials=2, space=space)


def test_tpe_and_random_follow_other_bounds(config: SweepConfig) -> None:
    narrow = {**SPACE, "learning_rate": {"loguniform": [2e-3, 3e-3]}}
    for searcher in ("tpe", "random"):
        found = longer(config.model_copy(update={"searcher": searcher}), Tally(3), trials=2, space=narrow)
        assert SearchSpace.of(found.space).dimensions["learning_rate"].values.extent() == (2e-3, 3e-3)


def test_a_grid_without_combinations_left_is_refused(config: SweepConfig) -> None:
    grid = config.model_copy(
        update={"searcher": "grid", "space": {"gamma": {"choice": [0.9, 0.95, 0.99]}}, "trials": 5}
    )
    space = SearchSpace.of(grid.space)
    assert within_combinations(grid, space, SearchState(StopRules(2), Tally(2))).trials == 3
    with pytest.raises(UserError, match="all 3 combinations"):
        within_combinations(grid, space, SearchState(StopRules(3), Tally(3)))


def test_a_sweep_that_runs_or_stored_too_little_is_refused(tmp_path: Path) -> None:
    folder = SweepFolder(store_sweep(tmp_path))
    with folder.lock(), pytest.raises(UserError, match="is running in process"):
        extend("kept", tmp_path, trials=2)
    with pytest.raises(UserError, match="there is no sweep"):
        extend("other", tmp_path, trials=2)
    with pytest.raises(UserError, match="at least 1"):
        extend("kept", tmp_path, trials=0)
    with pytest.raises(UserError, match="is no number"):
        from_text("--until", "high", float)
    assert from_text("--until", "none", float) == "none"
