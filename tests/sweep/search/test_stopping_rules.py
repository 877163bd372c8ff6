"""Rules that end a sweep: decided from counts, obeyed by the real searcher and scheduler, unchanged by kills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tuneexp.files.json_reading import DamagedFile
from tuneexp.sweep.search.choice import SamplerContext, build_sampler, build_scheduler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.stopping_rules import SearchState, StopRules, Tally, ends, search_state_of
from tuneexp.testing.scheduler_scenarios import BUDGET
from tuneexp.testing.simulated_trial import Report, Script
from tuneexp.testing.tune_loop import TuneLoop
from tuneexp.testing.tune_snapshot import restore, snapshot

SPACE = {"gamma": {"uniform": [0.9, 0.99]}}
SCORES = [5.0, 9.0, 3.0, 7.0, 8.0, 6.0, 2.0, 10.0, 1.0, 4.0]


def script(config: Mapping[str, Any]) -> Script:
    """Four reports, a second each; the objective of trial n is SCORES[n]."""
    score = SCORES[config["trial_number"] % len(SCORES)]
    return [Report({"env_steps": step, "objective": score}) for step in range(BUDGET // 4, BUDGET + 1, BUDGET // 4)]


def sweep(folder: Path, rules: StopRules, scheduler: Any = "fifo", concurrency: int = 2) -> TuneLoop:
    of_tune = TuneScheduler(build_scheduler(scheduler, SchedulerContext(BUDGET, 0, rules.trials)), concurrency)
    space = SearchSpace.of(SPACE)
    limits = Limits(rules, concurrency, of_tune, clock=lambda: loop.clock.now_s)
    sampler = build_sampler("random", SamplerContext(0, rules.trials, space))
    searcher = StudySearcher(space, sampler, "s", BUDGET, folder / "log.jsonl", limits=limits)
    config = {"budget_env_steps": BUDGET}
    loop = TuneLoop(of_tune, searcher, script, config=config, slots=concurrency, max_pending=concurrency)
    return loop


def outcome(loop: TuneLoop) -> list[tuple[int, str, int]]:
    """Number, state in Optuna and environment steps of each trial."""
    states = [trial.state.name for trial in loop.search_alg.searcher.study.trials]
    trials = sorted(loop.trials, key=lambda trial: trial.config["trial_number"])
    return [
        (trial.config["trial_number"], state, trial.last_result["env_steps"])
        for trial, state in zip(trials, states, strict=True)
    ]


def ended_by(loop: TuneLoop) -> str | None:
    return loop.search_alg.searcher._limits.state().ended_by


def test_a_rule_decides_from_counts() -> None:
    assert ends(StopRules(8), Tally(suggested=7)) is None
    assert ends(StopRules(8), Tally(suggested=8)) == "trials"
    assert ends(StopRules(), Tally(suggested=10**6, elapsed_s=1e9)) is None
    assert ends(StopRules(time_budget_s=60), Tally(elapsed_s=60)) == "time_budget_s"
    assert ends(StopRules(until=490), Tally(best=489.9)) is None
    assert ends(StopRules(until=490), Tally(best=490)) == "until"
    tally = Tally()
    for score in (None, 3.0, None, 2.0):  # failures before the first completed trial don't count
        tally = tally.with_end()
        tally = tally if score is None else tally.with_score(score)
    assert tally == Tally(best=3.0, since_best=2)
    assert ends(StopRules(stagnation=2), tally) == "stagnation"
    assert ends(StopRules(stagnation=2), tally.with_end().with_score(4.0)) is None


def test_a_search_that_ended_under_other_rules_goes_on() -> None:
    state = SearchState(StopRules(8), Tally(suggested=8), "trials")
    assert search_state_of(asdict(state)) == state
    assert state.ended_under(StopRules(8)) == "trials"
    assert state.ended_under(StopRules(12)) is None
    assert SearchState(StopRules(8), Tally(suggested=3), "sampler").ended_under(StopRules(8)) == "sampler"
    with pytest.raises(DamagedFile, match="elapsed_s"):
        search_state_of({**asdict(state), "tally": {"elapsed_s": "long"}})


RULES = {
    "trials": (StopRules(5), "fifo", 5),
    # Two at a time, four seconds each: the budget ends during the second report of trials 2 and 3.
    "time budget": (StopRules(time_budget_s=5.5), "fifo", 4),
    "time budget and pauses": (StopRules(time_budget_s=5.5), {"name": "asha", "promote": True}, None),
    "until": (StopRules(until=8.5), "fifo", 3),
    "until and pauses": (StopRules(until=4.5), {"name": "asha", "promote": True}, None),
    # Trial 1 is the best of the first seven; trial 7 runs when the fifth without a better one has ended, and is better.
    "stagnation": (StopRules(stagnation=5), "fifo", None),
    "stagnation and pauses": (StopRules(stagnation=3), {"name": "hyperband", "synchronous": True}, None),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_ends_the_sweep_and_a_kill_at_any_step_changes_nothing(tmp_path: Path, name: str) -> None:
    rules, scheduler, trials = RULES[name]
    whole = sweep(tmp_path, rules, scheduler).run()
    assert ended_by(whole) == next(rule for rule, value in asdict(rules).items() if value is not None)
    assert trials is None or len(whole.trials) == trials
    expected = outcome(whole)
    assert {state for _, state, _ in expected} <= {"COMPLETE", "PRUNED"}
    loop = sweep(tmp_path, rules, scheduler)
    while not loop.is_finished():
        loop.run(steps=2)
        after = restore(sweep(tmp_path, rules, scheduler), snapshot(loop)).run()
        assert (outcome(after), ended_by(after)) == (expected, ended_by(whole))


def test_trials_that_run_stop_at_their_next_report_when_the_time_is_over(tmp_path: Path) -> None:
    loop = sweep(tmp_path, StopRules(time_budget_s=5.5)).run()
    assert outcome(loop)[2:] == [(2, "PRUNED", BUDGET // 2), (3, "PRUNED", BUDGET // 2)]


def test_a_budget_shorter_than_a_report_leaves_one_report_of_each_trial(tmp_path: Path) -> None:
    loop = sweep(tmp_path, StopRules(time_budget_s=0.1)).run()
    assert outcome(loop) == [(0, "PRUNED", BUDGET // 4), (1, "PRUNED", BUDGET // 4)]


def test_a_better_trial_that_ran_ends_a_stagnation(tmp_path: Path) -> None:
    # Trial 1 is the best up to trial 7, which runs beside trial 6: the fifth in a row without a better one.
    loop = sweep(tmp_path, StopRules(stagnation=5)).run()
    assert max(objective for objective in SCORES) == loop.search_alg.searcher.study.best_value
    assert len(loop.trials) > 8


def test_an_extended_sweep_continues_where_it_ended(tmp_path: Path) -> None:
    for scheduler in ("fifo", {"name": "asha", "promote": True}, {"name": "hyperband", "synchronous": True}):
        folder = tmp_path / str(len(str(scheduler)))
        folder.mkdir()
        first = sweep(folder, StopRules(5), scheduler).run()
        before = {number: rest for number, *rest in outcome(first)}
        second = restore(sweep(folder, StopRules(12), scheduler), snapshot(first))
        second.search_alg.finished = False  # as `relocate` does
        second.run()
        found = outcome(second)
        assert [number for number, _, _ in found] == [*range(12)]
        assert {number: rest for number, *rest in found if number < 5} == before  # what has ended stays
        assert TrialState.COMPLETE.name in {state for number, state, _ in found if number >= 5}
        assert ended_by(second) == "trials"
