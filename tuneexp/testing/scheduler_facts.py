"""Facts that hold for every scheduler, on scripted trials in a simulated Tune."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuneexp.errors import UserError
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.schedulers.scheduler import Scheduler, SchedulerContext
from tuneexp.sweep.search.stopping_rules import StopRules
from tuneexp.testing.scheduler_scenarios import BUDGET, SCENARIOS, Scenario, curve, plain
from tuneexp.testing.scripted_searcher import ScriptedSearcher
from tuneexp.testing.simulated_trial import Report, Script
from tuneexp.testing.tune_loop import Decision, TuneLoop
from tuneexp.testing.tune_snapshot import restore, snapshot

MANY = 1000
SEEDS = 8  # of a trial, for schedulers that race on seeds
MS_PER_DECISION = 3.0  # a guard against costs that grow with the square of the trials; on a busy machine it takes 1.0


@dataclass(frozen=True)
class SchedulerSubject:
    """A scheduler under test.

    build: makes a new one. objectives, scenarios: of the sweeps. least_trials: smallest sweep that it takes."""

    build: Callable[[SchedulerContext], Scheduler]
    objectives: Objectives = field(default_factory=Objectives)
    scenarios: Mapping[str, Scenario] = field(default_factory=lambda: SCENARIOS)
    least_trials: int = 1

    def loop(self, script: Scenario, trials: int, concurrency: int, budget: int = BUDGET) -> TuneLoop:
        """Return a sweep that has not started."""
        from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler

        context = SchedulerContext(budget, 0, trials, concurrency, len(self.objectives.names), SEEDS)
        scheduler = TuneScheduler(self.build(context), concurrency, self.objectives)
        searcher = ScriptedSearcher(Limits(StopRules(trials), concurrency, scheduler))
        config = {"budget_env_steps": budget}
        return TuneLoop(scheduler, searcher, script, config=config, slots=concurrency, max_pending=concurrency)


def every_trial_ends(subject: SchedulerSubject) -> None:
    """No sweep waits for ever, whatever fails; each trial is suggested once, and no more run than asked for."""
    for name, script in subject.scenarios.items():
        for trials, concurrency in _at_least(subject.least_trials, ((1, 1), (2, 4), (9, 1), (27, 4))):
            loop = subject.loop(script, trials, concurrency)
            while not loop.is_finished():
                loop.step()
                running = sum(trial.status in ("RUNNING", "PENDING") for trial in loop.trials)
                assert running <= concurrency, f"{name}: {running} trials at once, {concurrency} were asked for"
            assert len(loop.trials) == trials, f"{name}: {len(loop.trials)} of {trials} trials"
            _check_reports(loop, name)


def _at_least(least: int, sizes: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int]]:
    return ((max(trials, least), concurrency) for trials, concurrency in sizes)


def _check_reports(loop: TuneLoop, name: str) -> None:
    decided: dict[str, list[Decision]] = {}
    for decision in loop.decisions:
        decided.setdefault(decision.trial_id, []).append(decision)
    for trial in loop.trials:
        reports = decided.get(trial.trial_id, [])
        stops = [one for one in reports if one.decision == "STOP"]
        assert not stops or stops == reports[-1:], f"{name}: {trial.trial_id} was trained after it was stopped"
        assert trial.status == "ERROR" or not trial.last_result or trial.last_result["done"], f"{name}: no outcome"


def a_kill_changes_no_decision(subject: SchedulerSubject) -> None:
    """After a kill at any report, before or after its checkpoint, the decisions are those of an undisturbed sweep."""
    for name, script in subject.scenarios.items():
        for trials, concurrency in _at_least(subject.least_trials, ((9, 3), (5, 1))):
            undisturbed = subject.loop(script, trials, concurrency).run()
            expected, outcomes = _decisions(undisturbed), _outcomes(undisturbed)
            for before, stored, step in _snapshots(subject.loop(script, trials, concurrency)):
                after = restore(subject.loop(script, trials, concurrency), stored).run()
                found = {**before, **_decisions(after)}
                assert found == expected, f"{name}: a kill after step {step}: {_first_difference(found, expected)}"
                assert _outcomes(after) == outcomes, f"{name}: a kill after step {step} changes an outcome"


Decided = dict[tuple[str, int], str]


def _snapshots(loop: TuneLoop) -> Iterator[tuple[Decided, bytes, int]]:
    """Yield the decisions so far, a snapshot and the step, after each report and after each step that follows one."""
    count, follows = 0, False
    while not loop.is_finished():
        loop.step()
        reported = len(loop.decisions) > count
        if reported or follows:
            yield _decisions(loop), snapshot(loop), loop.steps
        count, follows = len(loop.decisions), reported


def _decisions(loop: TuneLoop) -> Decided:
    return {(one.trial_id, one.env_steps): one.decision for one in loop.decisions}


def _outcomes(loop: TuneLoop) -> dict[str, tuple[str, Any]]:
    return {trial.trial_id: (trial.status, trial.last_result.get("env_steps")) for trial in loop.trials}


def _first_difference(found: Decided, expected: Decided) -> str:
    for key in {**expected, **found}:
        if found.get(key) != expected.get(key):
            return f"trial {key[0]} at {key[1]}: {found.get(key)}, not {expected.get(key)}"
    return "none"


def somebody_reaches_the_budget(subject: SchedulerSubject) -> None:
    """A sweep has a completed trial, with as few trials as you like."""
    for trials in {max(number, subject.least_trials) for number in (1, 2, 3, 30)}:
        loop = subject.loop(plain, trials, 2).run()
        assert any(trial.last_result["env_steps"] == BUDGET for trial in loop.trials), f"of {trials} trials, none"


def it_takes_the_smallest_budget(subject: SchedulerSubject) -> None:
    """A budget of one environment step has no room for a rung."""

    def once(config: Mapping[str, Any]) -> Script:
        return [Report({"env_steps": 1, "objective": float(config["trial_number"])})]

    trials = max(5, subject.least_trials)
    loop = subject.loop(once, trials, 2, budget=1).run()
    assert Counter(trial.status for trial in loop.trials) == {"TERMINATED": trials}


def its_random_numbers_are_its_own(subject: SchedulerSubject) -> None:
    """Global generators neither change its decisions nor are changed by them."""
    before, found = random.getstate(), []
    try:
        for seed in (1, 2):
            random.seed(seed)
            state = random.getstate()
            found.append(_decisions(subject.loop(plain, 20, 3).run()))
            assert random.getstate() == state, "it draws from the global generator of random"
    finally:
        random.setstate(before)
    assert found[0] == found[1]


def its_state_is_json(subject: SchedulerSubject) -> None:
    """The state survives JSON, and a scheduler that continues from it has the same state."""
    loop = subject.loop(plain, 20, 3).run(steps=60)
    state = loop.scheduler.state()
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    other = subject.loop(plain, 20, 3).scheduler
    other.set_state(json.loads(json.dumps(state)))
    assert other.state() == state


def a_decision_is_fast(subject: SchedulerSubject) -> None:
    """At 1,000 trials a decision takes well under a millisecond of an idle processor."""

    def short(config: Mapping[str, Any]) -> Script:
        return curve(config["trial_number"], (100, 300, 600, 900))

    loop = subject.loop(short, MANY, 8)
    loop.run(steps=3 * MANY)  # by then the rungs are full
    spent_ms = min(_ms_per_decision(loop, MANY // 8) for _ in range(8))  # the least disturbed by other processes
    assert spent_ms < MS_PER_DECISION, f"a decision takes {spent_ms:.2f} ms"


def _ms_per_decision(loop: TuneLoop, steps: int) -> float:
    """Run some steps. Returns milliseconds of the processor for each decision."""
    decisions, start_s = len(loop.decisions), time.process_time()
    loop.run(steps=steps)
    return 1000 * (time.process_time() - start_s) / max(1, len(loop.decisions) - decisions)


def several_objectives_are_compared_or_refused(subject: SchedulerSubject) -> None:
    """With two objectives the facts hold, too; a scheduler that compares one is refused before the start."""
    objectives = Objectives(("objective", "wall_s"), ("max", "min"))
    scenarios = {name: SCENARIOS[name] for name in ("failures", "missing_reports")}
    two = SchedulerSubject(subject.build, objectives, scenarios, subject.least_trials)
    try:
        two.build(SchedulerContext(BUDGET, 0, 9, 3, len(objectives.names), SEEDS))
    except UserError:
        return
    for fact in (every_trial_ends, a_kill_changes_no_decision, its_state_is_json, a_decision_is_fast):
        fact(two)


FACTS = (
    every_trial_ends,
    a_kill_changes_no_decision,
    somebody_reaches_the_budget,
    it_takes_the_smallest_budget,
    its_random_numbers_are_its_own,
    its_state_is_json,
    a_decision_is_fast,
    several_objectives_are_compared_or_refused,
)
