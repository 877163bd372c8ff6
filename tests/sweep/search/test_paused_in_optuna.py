"""A paused trial in Optuna's study: pruned while it waits, running once it is promoted, completed at its budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tuneexp.sweep.search.choice import SamplerContext, build_sampler, build_scheduler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import StopRules
from tuneexp.testing.scheduler_scenarios import BUDGET, failures, lost_workers, plain, without_results
from tuneexp.testing.tune_loop import TuneLoop
from tuneexp.testing.tune_snapshot import restore, snapshot

SPACE = {"gamma": {"uniform": [0.9, 0.99]}}
PROMOTE = {"name": "asha", "promote": True}
SYNCHRONOUS = {"name": "hyperband", "synchronous": True}


def sweep(tmp_path: Path, scheduler: dict[str, Any], script: Any = plain, trials: int = 12) -> TuneLoop:
    """A sweep of the real searcher on scripted trials, two at a time."""
    of_tune = TuneScheduler(build_scheduler(scheduler, SchedulerContext(BUDGET, 0, trials, 2)), 2)
    space = SearchSpace.of(SPACE)
    searcher = StudySearcher(
        space, build_sampler("tpe", SamplerContext(0, trials, space)), "s", BUDGET, tmp_path / "log.jsonl",
        limits=Limits(StopRules(trials), 2, of_tune),
    )  # fmt: skip
    return TuneLoop(of_tune, searcher, script, config={"budget_env_steps": BUDGET}, slots=2, max_pending=2)


def states(loop: TuneLoop) -> dict[int, TrialState]:
    return {trial.number: trial.state for trial in loop.search_alg.searcher.study.trials}


def expected(trial: Any) -> TrialState:
    if trial.status == "ERROR":
        return TrialState.FAIL
    return TrialState.COMPLETE if trial.last_result["env_steps"] == BUDGET else TrialState.PRUNED


@pytest.mark.parametrize("scheduler", [PROMOTE, SYNCHRONOUS], ids=["asha promotes", "synchronous hyperband"])
def test_it_is_pruned_while_it_waits_and_running_after_its_promotion(tmp_path: Path, scheduler: dict[str, Any]) -> None:
    loop = sweep(tmp_path, scheduler)
    most = 0
    while not loop.is_finished():
        suggested = len(loop.trials)
        loop.step()
        paused = [trial for trial in loop.trials if trial.status == "PAUSED"]
        if len(loop.trials) > suggested:  # the sampler has just looked at them
            most = max(most, len(paused))
            found = [states(loop)[trial.config["trial_number"]] for trial in paused]
            assert set(found) <= {TrialState.PRUNED}
    assert most >= 2
    assert states(loop) == {trial.config["trial_number"]: expected(trial) for trial in loop.trials}
    study = loop.search_alg.searcher.study
    for trial in loop.trials:
        of_optuna = study.trials[trial.config["trial_number"]]
        assert of_optuna.value == trial.last_result["objective"]
        assert [*of_optuna.intermediate_values] == [*range(100, trial.last_result["env_steps"] + 1, 100)]


@pytest.mark.parametrize("script", [lost_workers, failures])
def test_kills_lose_and_double_no_trial_of_the_study(tmp_path: Path, script: Any) -> None:
    whole = sweep(tmp_path, PROMOTE, script).run()
    (tmp_path / "log.jsonl").unlink()
    loop = sweep(tmp_path, PROMOTE, script)
    while not loop.is_finished():
        loop.run(steps=7)
        loop = restore(sweep(tmp_path, PROMOTE, script), snapshot(loop))
    assert [trial.number for trial in loop.search_alg.searcher.study.trials] == [*range(12)]
    assert states(loop) == states(whole)
    assert states(loop) == {trial.config["trial_number"]: expected(trial) for trial in loop.trials}


def told(loop: TuneLoop) -> list[tuple[Any, ...]]:
    trials = loop.search_alg.searcher.study.get_trials(deepcopy=False)
    return [(trial.state.name, trial.value, trial.user_attrs, trial.constraints) for trial in trials]


def test_trials_without_a_result_are_told_the_same_after_a_kill_at_any_step(tmp_path: Path) -> None:
    """Also while their tell waits for a first result."""

    def fresh() -> TuneLoop:
        return sweep(tmp_path, {"name": "fifo"}, without_results, trials=8)

    expected = told(fresh().run())
    outcomes = ["timeout", "out_of_memory", "diverged", "completed", "completed"]
    assert [attributes["outcome"] for _, _, attributes, _ in expected] == [*outcomes, *outcomes[:3]]
    worst = min(value for (_, value, attributes, _) in expected if attributes["outcome"] == "completed")
    for number in (0, 1, 2, 5, 6, 7):
        assert expected[number][:2] == ("COMPLETE", worst)
        assert expected[number][3] == {"outcome": 1.0}
    loop, waited = fresh(), 0
    while not loop.is_finished():
        loop.run(steps=6)
        stored = snapshot(loop)
        waited += any(state == "RUNNING" and "outcome" in attributes for state, _, attributes, _ in told(loop))
        assert told(restore(fresh(), stored).run()) == expected
    assert waited
