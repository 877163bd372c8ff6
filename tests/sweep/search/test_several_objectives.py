"""Two objectives, a constraint and budgets that are searched: real searcher and scheduler, simulated trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tuneexp.errors import UserError
from tuneexp.sweep import Sweep
from tuneexp.sweep.search.choice import SamplerContext, build_sampler, build_scheduler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import StopRules
from tuneexp.testing.scheduler_scenarios import BUDGET, curve, failures
from tuneexp.testing.simulated_trial import Script
from tuneexp.testing.tune_loop import TuneLoop
from tuneexp.testing.tune_snapshot import restore, snapshot

SPACE = {"gamma": {"uniform": [0.9, 0.99]}, "budget_env_steps": {"int": [300, BUDGET, 300]}}
OBJECTIVES = Objectives.of(
    [{"name": "objective", "direction": "max"}, {"name": "wall_s", "direction": "min"}], ["wall_s<=400"], BUDGET
)
TRIALS = 14


def to_its_budget(config: Mapping[str, Any]) -> Script:
    return curve(config["trial_number"], range(100, config["budget_env_steps"] + 1, 100))


def failing(config: Mapping[str, Any]) -> Script:
    return failures(config) if config["trial_number"] % 4 == 1 else to_its_budget(config)


def sweep(folder: Path, scheduler: Any, script: Any, sampler: Any = "tpe") -> TuneLoop:
    folder.mkdir(exist_ok=True)
    context = SchedulerContext(BUDGET, 0, TRIALS, 2, len(OBJECTIVES.names))
    of_tune = TuneScheduler(build_scheduler(scheduler, context), 2, OBJECTIVES)
    space = SearchSpace.of(SPACE)
    searcher = StudySearcher(
        space, build_sampler(sampler, SamplerContext(0, TRIALS, space)), "s", BUDGET, folder / "log.jsonl",
        limits=Limits(StopRules(TRIALS), 2, of_tune), objectives=OBJECTIVES,
    )  # fmt: skip
    return TuneLoop(of_tune, searcher, script, config={"budget_env_steps": BUDGET}, slots=2, max_pending=2)


def told(loop: TuneLoop) -> list[Any]:
    """State, values, parameters, constraints and attributes of each trial in Optuna."""
    trials = loop.search_alg.searcher.study.trials
    return [(one.state, one.values, one.params, one.constraints, one.user_attrs) for one in trials]


@pytest.mark.parametrize("scheduler", ["asha", {"name": "asha", "promote": True}], ids=["stops", "promotes"])
@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_kill_at_any_report_loses_and_doubles_nothing(tmp_path: Path, scheduler: Any, sampler: str) -> None:
    whole = sweep(tmp_path / "whole", scheduler, to_its_budget, sampler).run()
    loop, seen = sweep(tmp_path / "killed", scheduler, to_its_budget, sampler), 0
    while not loop.is_finished():
        loop.step()
        if len(loop.decisions) - seen >= 6:
            loop = restore(sweep(tmp_path / "killed", scheduler, to_its_budget, sampler), snapshot(loop))
            seen = len(loop.decisions)
    assert told(loop) == told(whole)


def test_optuna_has_the_last_values_of_each_trial_within_its_own_budget(tmp_path: Path) -> None:
    loop = sweep(tmp_path, "asha", failing).run()
    study = loop.search_alg.searcher.study
    budgets = set()
    for trial, of_optuna in zip(sorted(loop.trials, key=lambda one: one.trial_id), study.trials, strict=True):
        budget, result = of_optuna.params["budget_env_steps"], trial.last_result
        if trial.status == "ERROR":
            assert of_optuna.state == TrialState.FAIL
            continue
        assert trial.config["budget_env_steps"] == budget
        values = [result["objective"], result["time/train_s"]]
        assert of_optuna.user_attrs["reports"][str(result["env_steps"])] == values
        complete = result["env_steps"] >= budget
        assert of_optuna.state == (TrialState.COMPLETE if complete else TrialState.PRUNED)
        assert of_optuna.values == (values if complete else None)
        assert of_optuna.constraints["wall_s<=400"] == pytest.approx(values[1] / 400 - 1)
        budgets.add(budget if complete else 0)
    assert budgets == {0, 300, 600, 900}  # some were pruned, and some completed at each budget
    assert all(one.values[1] <= 400 for one in study.best_trials)


def asked(tmp_path: Path, **settings: Any) -> Sweep:
    return Sweep("ppo", "CartPole-v1", storage=tmp_path, **settings)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"objectives": ["return_mean", "wall_s"], "searcher": "cmaes"}, "nsga2"),
        ({"objectives": ["return_mean", "wall_s"], "scheduler": "median"}, "asha"),
        ({"objectives": ["return_mean", "wall_s"], "searcher": {"name": "gp", "carry_pruned": True}}, "carry_pruned"),
        ({"constraints": ["walls<=3"]}, "wall_s"),
        ({"space": {"budget_env_steps": {"int": [100, 900]}}}, "--objective wall_s:min"),
        ({"space": {"budget_env_steps": {"int": [100, 900]}}, "budget_env_steps": 400, "constraints": ["wall_s<=9"]},
         "up to 900"),
        ({"space": {"budget_env_steps": {"uniform": [100.5, 900]}}, "constraints": ["wall_s<=9"]}, "int"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused_before_the_start(tmp_path: Path, settings: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        asked(tmp_path, **settings)


def test_the_largest_budget_of_the_space_is_that_of_the_sweep(tmp_path: Path) -> None:
    space = {"budget_env_steps": {"int": [100, 900]}}
    made = asked(tmp_path, space=space, objectives=["return_mean", "wall_s"])
    assert made.config.trial.budget_env_steps == 900
    assert asked(tmp_path, space=space, objectives=["wall_s", "return_mean"], budget_env_steps=900)
