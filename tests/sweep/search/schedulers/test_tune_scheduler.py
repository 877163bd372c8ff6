"""Schedulers under Tune: restores, retries, pauses. The contract covers kills at every report."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest

from tuneexp.sweep.search.choice import SCHEDULERS, build_scheduler
from tuneexp.sweep.search.limits import Limits
from tuneexp.sweep.search.schedulers.scheduler import CONTINUE, PAUSE, STOP, SchedulerContext
from tuneexp.sweep.search.schedulers.tune_scheduler import TuneScheduler, had_ended
from tuneexp.sweep.search.stopping_rules import StopRules
from tuneexp.testing.scheduler_facts import SchedulerSubject
from tuneexp.testing.scheduler_scenarios import plain
from tuneexp.testing.tune_snapshot import restore, snapshot

BUDGET = 900


def trial(name: str, status: str = "RUNNING") -> Any:
    return SimpleNamespace(
        trial_id=name, config={"budget_env_steps": BUDGET}, status=status, is_finished=lambda: status == "TERMINATED"
    )


def scheduler_of(name: str, **options: Any) -> TuneScheduler:
    scheduler = TuneScheduler(build_scheduler({"name": name, **options}, SchedulerContext(BUDGET, trials=8)))
    scheduler.set_search_properties("objective", "max")
    return scheduler


def report(scheduler: TuneScheduler, name: str, env_steps: int, objective: float) -> str:
    # The iteration says nothing: rollouts differ, and it starts again from 0 after a restore.
    metrics = {"env_steps": env_steps, "objective": objective, "training_iteration": 10**6}
    return scheduler.on_trial_result(None, trial(name), metrics)


def test_a_trial_ends_at_its_budget() -> None:
    assert report(scheduler_of("asha"), "t", BUDGET, 1.0) == STOP


def test_a_trial_without_a_score_is_no_evidence() -> None:
    scheduler = scheduler_of("asha")
    assert report(scheduler, "nan", 100, math.nan) == CONTINUE
    assert report(scheduler, "inf", 100, math.inf) == CONTINUE
    scheduler.on_trial_complete(None, trial("nan"), {"env_steps": 300, "objective": math.nan})
    assert not any(recorded for _, recorded in scheduler.state()["brackets"][0])


def test_a_stop_that_was_decided_is_not_forgotten() -> None:
    first = scheduler_of("asha")
    for score in (1, 2, 3):
        report(first, f"t{score}", 100, float(score))
    assert report(first, "bad", 100, 0.0) == STOP
    second = scheduler_of("asha")
    second.set_state(json.loads(json.dumps(first.state())))
    assert report(second, "bad", 100, 0.0) == STOP  # its rung has an entry already, and would let it continue
    assert report(second, "bad", 120, 99.0) == STOP


def test_a_trial_that_repeats_its_reports_is_judged_once() -> None:
    scheduler = scheduler_of("median", min_trials=1)
    for env_steps in (100, 200, 100, 200):  # its worker was lost
        report(scheduler, "a", env_steps, 5.0)
    (curve,) = scheduler.state()["curves"].values()
    assert curve == [5.0, 10.0, 2]


def test_a_paused_trial_that_repeats_its_last_report_pauses_again() -> None:
    scheduler = scheduler_of("asha", promote=True)
    assert report(scheduler, "a", 100, 5.0) == PAUSE
    again = scheduler_of("asha", promote=True)
    again.set_state(json.loads(json.dumps(scheduler.state())))
    assert report(again, "a", 50, 5.0) == CONTINUE  # from an older checkpoint
    assert report(again, "a", 100, 5.0) == PAUSE


def test_the_rungs_of_an_earlier_version_are_read() -> None:
    state = {
        "rungs": [[900, {"a": 9.0}], [300, {"a": 5.0, "b": 1.0}], [100, {"a": 3.0, "b": 2.0, "c": 1.0}]],
        "stopped": ["c"],
    }
    scheduler = scheduler_of("asha")
    scheduler.set_state(state)
    assert report(scheduler, "c", 100, 1.0) == STOP
    assert report(scheduler, "b", 400, 9.0) == CONTINUE  # it has passed that rung
    assert [report(scheduler, "new", 100, 1.5), report(scheduler, "good", 100, 4.0)] == [STOP, CONTINUE]
    scheduler_of("fifo").set_state({})


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_state_of_no_trials_is_read(name: str) -> None:
    scheduler = scheduler_of(name)
    scheduler.set_state(json.loads(json.dumps(scheduler.state())))
    assert scheduler.paused == {}


def restored(last: dict[str, Any] | None, checkpoint: dict[str, Any] | None) -> Any:
    saved = None if checkpoint is None else SimpleNamespace(metrics=checkpoint)
    return SimpleNamespace(last_result=last, latest_checkpoint_result=saved, config={"budget_env_steps": BUDGET})


@pytest.mark.parametrize(
    ("last", "checkpoint", "ended"),
    [
        (None, None, False),
        ({"env_steps": 300, "objective": 1.0, "done": False}, {"env_steps": 300}, False),
        ({"env_steps": 300, "objective": 1.0, "done": True}, {"env_steps": 200}, True),  # pruned
        ({"env_steps": 900, "objective": 1.0, "done": True}, {"env_steps": 900}, True),
        ({"env_steps": 900, "objective": 1.0, "done": True}, {"env_steps": 800}, False),  # its last one is missing
        ({"env_steps": 300, "objective": math.nan, "done": True}, {"env_steps": 300}, True),
    ],
)
def test_a_restored_trial_trains_on_only_where_something_is_left(last: Any, checkpoint: Any, ended: bool) -> None:
    assert had_ended(restored(last, checkpoint)) is ended


PROMOTES = SchedulerSubject(lambda context: build_scheduler({"name": "asha", "promote": True}, context))


def test_a_promotion_takes_the_worker_that_was_kept() -> None:
    loop = PROMOTES.loop(plain, 12, 1).run()
    resumed = [trial for trial in loop.trials if trial.last_result["env_steps"] > 100]
    assert len(resumed) > 3
    assert loop.actors.started == 1


def test_paused_trials_leave_room_for_others() -> None:
    loop = PROMOTES.loop(plain, 9, 2)
    paused = 0
    while not loop.is_finished():
        loop.step()
        by_status = [trial.status for trial in loop.trials]
        paused = max(paused, by_status.count("PAUSED"))
    assert paused > 2


def test_after_a_restore_paused_trials_stay_paused_and_no_more_run_than_asked_for() -> None:
    loop = PROMOTES.loop(plain, 12, 4)
    while sum(trial.status == "PAUSED" for trial in loop.trials) < 3:
        loop.step()
    stored = snapshot(loop)
    paused = {trial.trial_id for trial in loop.trials if trial.status == "PAUSED"}
    again = restore(PROMOTES.loop(plain, 12, 2), stored)
    assert {trial.status for trial in again.trials} <= {"PENDING", "TERMINATED"}  # as Tune leaves them
    again.step()
    started = {trial.trial_id for trial in again.trials if trial.status in ("PENDING", "RUNNING")}
    assert len(started) <= 2
    assert not started & paused - {again.scheduler.promotion_due()}
    while not again.is_finished():
        again.step()
        assert sum(trial.status in ("PENDING", "RUNNING") for trial in again.trials) <= 2


def test_more_trials_than_before_reopen_a_sweep_that_had_closed() -> None:
    loop = PROMOTES.loop(plain, 4, 1).run()
    assert loop.scheduler.state()["closed"]
    more = restore(PROMOTES.loop(plain, 8, 1), snapshot(loop))
    more.search_alg.finished = False  # as `relocate` does
    more.step()
    assert not more.scheduler.state()["closed"]


def test_a_searcher_waits_for_a_promotion_and_finishes_last() -> None:
    paused = SimpleNamespace(paused={"a": 100}, pauses=True, promotion_due=lambda: "a")
    limits = Limits(StopRules(2), 1, paused)
    limits.add("a")
    assert limits.verdict() == "wait"  # the promotion comes first
    paused.promotion_due = lambda: None
    assert limits.verdict() == "suggest"  # a paused trial doesn't count
    limits.add("b")
    assert limits.verdict() == "wait"  # "a" may be promoted yet
    limits.end("a")
    limits.end("b")
    assert limits.verdict() == "finished"
