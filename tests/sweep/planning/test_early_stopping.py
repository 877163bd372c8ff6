"""Best case of early stopping: what each scheduler leaves if the first trial is the best."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp.sweep.planning.early_stopping import least_env_steps
from tuneexp.sweep.search.choice import build_scheduler
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext

BUDGET, REPORTS = 900, 100  # rungs at 100 and 300


def least(scheduler: Any, trials: int) -> int:
    context = SchedulerContext(BUDGET, 0, trials, 2, seeds=8)
    return least_env_steps(build_scheduler(scheduler, context), trials, REPORTS, BUDGET)


@pytest.mark.parametrize(
    ("scheduler", "trials", "env_steps"),
    [
        ("fifo", 8, 8 * 900),
        ("asha", 8, 900 + 7 * 100),
        # All pause at 100; of 9 the best three go on to 300, and the best of those to the end.
        ({"name": "asha", "promote": True}, 9, 6 * 100 + 2 * 300 + 900),
        # Too few for a promotion: the best one continues at the end.
        ({"name": "asha", "promote": True}, 2, 100 + 900),
        # One of eight seeds up to 100, three up to 300, all of them beyond.
        ({"name": "asha", "seeds": {"start": 1}}, 9, int(6 * 100 / 8 + 2 * 300 * 3 / 8 + 900)),
        ("asha", 1, 900),
        # More trials than are simulated.
        ("asha", 1024, (900 + 255 * 100) * 4),
    ],
)
def test_env_steps_of_the_best_case(scheduler: Any, trials: int, env_steps: int) -> None:
    assert least(scheduler, trials) == env_steps


def test_cohorts_may_cost_other_shares_than_their_seeds() -> None:
    """One seed, three and eight, where each stack costs the same: as with seeds that are cheap in a stack."""
    race = {"name": "asha", "seeds": {"start": 1}}
    scheduler = build_scheduler(race, SchedulerContext(BUDGET, 0, 9, 2, seeds=8))
    assert least_env_steps(scheduler, 9, REPORTS, BUDGET, [1.0, 1.0, 1.0]) == int(6 * 100 / 3 + 2 * 300 * 2 / 3 + 900)


@pytest.mark.parametrize("scheduler", ["hyperband", {"name": "hyperband", "synchronous": True}, "median"])
def test_the_best_case_is_between_the_first_rung_and_no_stops(scheduler: Any) -> None:
    assert 20 * 100 < least(scheduler, 20) < 20 * 900


def test_a_report_that_jumps_over_a_rung_is_judged_where_it_is() -> None:
    scheduler = build_scheduler("asha", SchedulerContext(BUDGET, 0, 4, 2))
    assert least_env_steps(scheduler, 4, 250, BUDGET) == 900 + 3 * 250
