"""The contract of schedulers as a pytest class: failures, NaN, late and missing reports, kills at every report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tuneexp.sweep.search.choice import build_scheduler
from tuneexp.testing.scheduler_facts import FACTS, SchedulerSubject, somebody_reaches_the_budget


def scheduler_contract(
    scheduler: str | type | Mapping[str, Any], *, completes: bool = True, least_trials: int = 1
) -> type:
    """Make a class of tests for pytest to collect: `TestMine = scheduler_contract("path/mine.py:MyScheduler")`.

    The tests run scripted trials in a simulated Tune; they need no Ray cluster.

    Args:
        scheduler: A name, a class, its address, or a mapping with `name` and options.
        least_trials: Number of trials without which the scheduler refuses a sweep, as one that trains a population.
        completes: In each sweep a trial reaches its budget. False for a scheduler that may stop all trials.

    Returns:
        A class with one test for each fact.
    """
    from tuneexp.sweep.search.choice import stored_form

    asked = stored_form(scheduler, "scheduler")
    subject = SchedulerSubject(lambda context: build_scheduler(asked, context), least_trials=least_trials)
    facts = [fact for fact in FACTS if completes or fact is not somebody_reaches_the_budget]
    tests = {f"test_{fact.__name__}": _test(fact, subject) for fact in facts}
    return type("SchedulerContract", (), {"__doc__": f"The contract of the scheduler {asked}.", **tests})


def _test(fact: Callable[[SchedulerSubject], None], subject: SchedulerSubject) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        fact(subject)

    test.__doc__ = fact.__doc__
    return test
