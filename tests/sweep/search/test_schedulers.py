"""Schedulers count environment steps, and their decisions survive a kill."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from tuneexp.errors import UserError
from tuneexp.sweep.search.schedulers import Asha, had_ended
from tuneexp.sweep.search.search_registry import SCHEDULERS, build, check_names

BUDGET = 900  # rungs at 100, 300 and 900
STOP, CONTINUE = TrialScheduler.STOP, TrialScheduler.CONTINUE


def trial(name: str) -> Any:
    return SimpleNamespace(trial_id=name, config={"budget_env_steps": BUDGET})


def asha() -> Asha:
    scheduler = Asha(BUDGET)
    scheduler.set_search_properties("objective", "max")
    return scheduler


def report(scheduler: Asha, name: str, env_steps: int, objective: float) -> str:
    if name not in scheduler._trial_info:
        scheduler.on_trial_add(None, trial(name))
    # The iteration is arbitrary: rollouts differ, and it restarts at 0 after a restore.
    metrics = {"env_steps": env_steps, "objective": objective, "training_iteration": 10**6}
    return scheduler.on_trial_result(None, trial(name), metrics)


def test_asha_stops_below_the_best_third_of_a_rung() -> None:
    scheduler = asha()
    assert [report(scheduler, f"t{score}", 100, float(score)) for score in (1, 2, 3)] == [CONTINUE] * 3
    assert report(scheduler, "bad", 100, 1.5) == STOP
    assert report(scheduler, "good", 100, 9.0) == CONTINUE


def test_asha_stops_no_trial_before_the_first_rung() -> None:
    scheduler = asha()
    report(scheduler, "t1", 100, 50.0)
    assert report(scheduler, "young", 99, -50.0) == CONTINUE


def test_asha_ends_a_trial_at_its_budget() -> None:
    assert report(asha(), "t", BUDGET, 1.0) == STOP


def test_a_trial_without_a_score_is_no_evidence() -> None:
    scheduler = asha()
    assert report(scheduler, "nan", 100, math.nan) == CONTINUE
    assert report(scheduler, "inf", 100, math.inf) == CONTINUE
    assert not any(recorded for _, recorded in scheduler.state()["rungs"])
    scheduler.on_trial_complete(None, trial("nan"), {"env_steps": 300, "objective": math.nan})
    assert not any(recorded for _, recorded in scheduler.state()["rungs"])


def test_rungs_survive_a_restore() -> None:
    first = asha()
    for score in (1, 2, 3):
        report(first, f"t{score}", 100, float(score))
    second = asha()
    assert report(asha(), "late", 100, 1.5) == CONTINUE  # what Tune alone would do: its rungs are empty
    second.set_state(json.loads(json.dumps(first.state())))
    assert second.state() == first.state()
    assert report(second, "late", 100, 1.5) == STOP


def test_a_stop_that_was_decided_is_not_forgotten() -> None:
    first = asha()
    for score in (1, 2, 3):
        report(first, f"t{score}", 100, float(score))
    assert report(first, "bad", 100, 0.0) == STOP
    second = asha()
    second.set_state(first.state())
    assert report(second, "bad", 100, 0.0) == STOP  # its rung has an entry already, and would wave it through
    assert report(second, "bad", 120, 99.0) == STOP


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
        (
            {"env_steps": 900, "objective": 1.0, "done": True},
            {"env_steps": 800},
            False,
        ),  # its last checkpoint is missing
        ({"env_steps": 300, "objective": math.nan, "done": True}, {"env_steps": 300}, True),
    ],
)
def test_a_restored_trial_trains_on_only_where_something_is_left(last: Any, checkpoint: Any, ended: bool) -> None:
    assert had_ended(restored(last, checkpoint)) is ended


def scheduler_of(name: str, budget: int = BUDGET) -> Any:
    scheduler = build(SCHEDULERS[name], budget)
    scheduler.set_search_properties("objective", "max")
    return scheduler


def decisions(scheduler: Any, names: str, first_score: float) -> list[str]:
    """Decisions for trials that report at the first rung, each with a lower objective than the previous one."""
    found = []
    for rank, name in enumerate(names):
        scheduler.on_trial_add(None, trial(name))
        metrics = {"env_steps": 100, "objective": first_score - rank, "training_iteration": 1}
        found.append(scheduler.on_trial_result(None, trial(name), metrics))
    return found


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_decides_after_a_restore_as_if_it_had_gone_on(name: str) -> None:
    uninterrupted, restored_one = scheduler_of(name), scheduler_of(name)
    decisions(uninterrupted, "abcd", 9.0)
    restored_one.set_state(json.loads(json.dumps(uninterrupted.state())))
    later = decisions(uninterrupted, "efg", 10.0)  # ASHA with empty rungs would stop "f"
    assert decisions(restored_one, "efg", 10.0) == later
    assert later == ([CONTINUE, CONTINUE, CONTINUE] if name == "fifo" else [CONTINUE, CONTINUE, STOP])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_takes_the_smallest_budget(name: str) -> None:
    scheduler = scheduler_of(name, budget=1)
    scheduler.on_trial_add(None, trial("t"))
    metrics = {"env_steps": 1, "objective": 1.0, "training_iteration": 1}
    assert scheduler.on_trial_result(None, trial("t"), metrics) == (CONTINUE if name == "fifo" else STOP)


def test_an_unknown_scheduler_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"'ashaa'.* 'asha'"):
        check_names("tpe", "ashaa")
