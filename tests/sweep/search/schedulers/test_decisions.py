"""Decisions of the schedulers, on numbers that are worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tuneexp.errors import UserError
from tuneexp.sweep.search.choice import build_scheduler
from tuneexp.sweep.search.schedulers.rungs import Rungs, geometric_levels
from tuneexp.sweep.search.schedulers.scheduler import CONTINUE, PAUSE, STOP, Scheduler, SchedulerContext

BUDGET = 900  # rungs at 100 and 300


def built(name: str, budget: int = BUDGET, **options: Any) -> Scheduler:
    return build_scheduler({"name": name, **options}, SchedulerContext(budget))


def reports(scheduler: Scheduler, env_steps: int, **objectives: float) -> list[str]:
    """Of trials one after the other, by their names."""
    found = []
    for trial_id, objective in objectives.items():
        scheduler.add(trial_id)
        found.append(scheduler.report(trial_id, env_steps, objective))
    return found


def test_rungs_are_at_powers_of_the_factor_below_the_budget() -> None:
    assert geometric_levels(100, 3, 900) == [100, 300]
    assert geometric_levels(111, 3, 1000) == [111, 333]  # 999 is the budget, but for rounding
    assert geometric_levels(100, 4, 1000) == [100, 400]
    assert geometric_levels(1, 3, 1) == []


def test_a_quantile_is_that_of_numpy() -> None:
    draw = np.random.default_rng(0)
    for count in (1, 2, 3, 10, 101):
        rungs, values = Rungs([1]), draw.normal(size=count)
        for number, value in enumerate(values):
            rungs.record(0, str(number), float(value))
        for share in (0.5, 2 / 3, 0.75):
            assert rungs.quantile(0, share) == pytest.approx(np.percentile(values, 100 * share))


def test_of_equal_trials_the_first_is_the_best_also_after_a_restore() -> None:
    rungs = Rungs([1, 2])
    for trial_id, objective in {"c": 1.0, "a": 1.0, "b": 2.0}.items():
        rungs.record(0, trial_id, objective)
    again = Rungs([1, 2])
    again.set_state(json.loads(json.dumps(rungs.state())))
    assert rungs.best(0, 3) == again.best(0, 3) == ["b", "c", "a"]


def test_a_trial_enters_the_highest_rung_that_it_has_reached_and_none_below() -> None:
    rungs = Rungs([100, 300])
    assert rungs.reached("t", 99) is None
    assert rungs.reached("t", 350) == 1
    rungs.record(1, "t", 1.0)
    assert rungs.reached("t", 400) is None


def test_asha_stops_below_the_best_third_of_a_rung() -> None:
    scheduler = built("asha")
    assert reports(scheduler, 100, t1=1.0, t2=2.0, t3=3.0) == [CONTINUE] * 3
    assert reports(scheduler, 100, bad=1.5, good=9.0) == [STOP, CONTINUE]


def test_asha_asks_nobody_before_the_first_rung() -> None:
    scheduler = built("asha")
    assert reports(scheduler, 100, t1=50.0) == [CONTINUE]
    assert reports(scheduler, 99, young=-50.0) == [CONTINUE]


def test_options_of_asha_move_its_rungs() -> None:
    scheduler = built("asha", reduction_factor=4, grace_env_steps=200)
    assert [level for level, _ in scheduler.state()["brackets"][0]] == [200, 800]
    assert reports(scheduler, 200, t1=1.0, t2=2.0, t3=3.0, t4=4.0) == [CONTINUE] * 4
    assert reports(scheduler, 200, t5=3.2) == [STOP]  # the quantile 3/4 of 1, 2, 3, 4 is 3.25


def test_brackets_differ_in_their_first_rung_and_most_trials_are_in_the_first() -> None:
    scheduler = built("asha", brackets=3)
    for number in range(130):
        scheduler.add(f"t{number}")
    state = scheduler.state()
    assert [[level for level, _ in rungs] for rungs in state["brackets"]] == [[100, 300], [300], []]
    sizes = [list(state["bracket_of"].values()).count(bracket) for bracket in range(3)]
    assert sizes == pytest.approx([130 * weight / 5.5 for weight in (3, 1.5, 1)], abs=15)


def test_a_promoting_asha_pauses_all_but_the_best_third_and_resumes_the_best_later() -> None:
    scheduler = built("asha", promote=True)
    assert reports(scheduler, 100, a=3.0, b=5.0) == [PAUSE, PAUSE]
    assert scheduler.promotion() is None
    assert reports(scheduler, 100, c=4.0) == [PAUSE]  # "b" is the best of three
    assert scheduler.promotion() == "b"
    scheduler.promoted("b")
    assert scheduler.promotion() is None
    assert reports(scheduler, 100, d=1.0, e=2.0, f=9.0) == [PAUSE, PAUSE, CONTINUE]  # it need not wait
    assert scheduler.promotion() is None
    assert scheduler.report("b", 300, 6.0) == PAUSE
    assert reports(scheduler, 100, g=8.0, h=0.0, i=0.0) == [CONTINUE, PAUSE, PAUSE]


def test_a_promotion_prefers_the_highest_rung() -> None:
    scheduler = built("asha", promote=True)
    reports(scheduler, 100, a=1.0, b=1.0, c=1.0, d=1.0)
    reports(scheduler, 300, e=2.0, f=1.0, g=1.0)
    assert scheduler.promotion() == "e"


def test_a_trial_that_failed_is_not_promoted_but_stays_as_evidence() -> None:
    scheduler = built("asha", promote=True)
    reports(scheduler, 100, a=3.0, b=5.0, c=4.0)
    scheduler.end("b", None, None)
    assert scheduler.promotion() is None
    reports(scheduler, 100, d=1.0, e=1.0, f=1.0)
    assert scheduler.promotion() == "c"


def test_with_few_trials_the_best_goes_on_at_the_end() -> None:
    scheduler = built("asha", promote=True)
    reports(scheduler, 100, a=3.0, b=5.0)
    scheduler.close()
    assert scheduler.promotion() == "b"


def test_a_synchronous_bracket_goes_on_once_all_of_its_trials_are_in() -> None:
    scheduler = built("hyperband", synchronous=True)
    nine = {f"t{number}": float(number) for number in range(9)}  # of two halvings
    assert reports(scheduler, 100, **dict(list(nine.items())[:8])) == [PAUSE] * 8
    assert scheduler.promotion() is None
    assert reports(scheduler, 100, t8=8.0) == [CONTINUE]
    assert set(scheduler.losers()) == {f"t{number}" for number in range(6)}
    for trial_id in ("t7", "t6"):
        assert scheduler.promotion() == trial_id
        scheduler.promoted(trial_id)
    assert [scheduler.report(trial_id, 300, 1.0) for trial_id in ("t6", "t7", "t8")] == [PAUSE, PAUSE, PAUSE]
    assert scheduler.promotion() == "t6"


def test_the_brackets_of_hyperband_follow_each_other() -> None:
    scheduler = built("hyperband", synchronous=True)
    for number in range(9 + 5 + 3 + 1):
        scheduler.add(f"t{number}")
    brackets = scheduler.state()["brackets"]
    assert [bracket["size"] for bracket in brackets] == [9, 5, 3, 9]
    assert [[level for level, _ in bracket["rungs"]] for bracket in brackets] == [[100, 300], [300], [], [100, 300]]


def test_a_synchronous_bracket_does_not_wait_for_a_trial_that_failed() -> None:
    scheduler = built("hyperband", synchronous=True)
    reports(scheduler, 100, **{f"t{number}": float(number) for number in range(8)})
    scheduler.add("t8")
    scheduler.end("t8", None, None)
    assert scheduler.promotion() == "t7"


def test_the_last_bracket_closes_when_no_more_trials_come() -> None:
    scheduler = built("hyperband", synchronous=True)
    reports(scheduler, 100, a=1.0, b=2.0)
    assert scheduler.promotion() is None
    scheduler.close()
    assert scheduler.promotion() == "b"
    assert set(scheduler.losers()) == {"a"}


def test_trials_of_an_extended_sweep_start_a_new_bracket() -> None:
    scheduler = built("hyperband", synchronous=True)
    reports(scheduler, 100, a=1.0, b=2.0)
    scheduler.close()
    extended = built("hyperband", synchronous=True)
    extended.set_state(json.loads(json.dumps(scheduler.state())))
    extended.add("c")
    brackets = extended.state()["brackets"]
    assert [bracket["started"] for bracket in brackets] == [2, 1]
    assert extended.report("c", 300, 9.0) == PAUSE  # at its own rung: the closed one is not reopened


@pytest.mark.parametrize(("objective", "decision"), [(8.5, CONTINUE), (0.5, STOP)])
def test_a_trial_that_is_retried_after_its_rung_has_closed_is_judged_by_that_rung(
    objective: float, decision: str
) -> None:
    scheduler = built("hyperband", synchronous=True)
    reports(scheduler, 100, **{f"t{number}": float(number) for number in range(8)})
    scheduler.add("t8")
    scheduler.end("t8", None, None)  # it fails, and the rung closes without it
    again = built("hyperband", synchronous=True)
    again.set_state(json.loads(json.dumps(scheduler.state())))
    again.add("t8")
    assert again.report("t8", 50, objective) == CONTINUE
    assert again.report("t8", 100, objective) == decision
    if decision == CONTINUE:  # it competes at the open rung
        assert again.report("t8", 300, objective) == PAUSE


def test_asynchronous_hyperband_has_a_bracket_without_early_stopping() -> None:
    brackets = built("hyperband").state()["brackets"]
    assert [[level for level, _ in rungs] for rungs in brackets] == [[100, 300], [300], []]


def test_the_median_rule_compares_the_best_objective_with_running_averages() -> None:
    scheduler = built("median", budget=1000, grace_env_steps=200)
    for trial_id, objectives in {"a": (0.0, 4.0), "b": (0.0, 6.0), "c": (0.0, 8.0)}.items():
        for env_steps, objective in zip((100, 200), objectives, strict=True):
            assert scheduler.report(trial_id, env_steps, objective) == CONTINUE
    assert scheduler.report("low", 100, -9.0) == CONTINUE  # before the first decision
    assert scheduler.report("low", 200, 2.9) == STOP  # averages are 2, 3 and 4
    assert scheduler.report("high", 100, 3.0) == CONTINUE
    assert scheduler.report("high", 200, -9.0) == CONTINUE  # its best was 3.0, and the averages are -3.05, 2, 3, 4


def test_the_median_rule_needs_three_others() -> None:
    scheduler = built("median")
    assert reports(scheduler, 450, a=5.0, b=5.0, c=0.0) == [CONTINUE] * 3
    assert reports(scheduler, 450, d=0.0) == [STOP]


@pytest.mark.parametrize("name", ["asha", "hyperband", "median"])
def test_a_first_decision_at_the_budget_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="budget of 900"):
        built(name, grace_env_steps=900)
