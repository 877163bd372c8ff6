"""Population-based training by trial id."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tuneexp.errors import UserError
from tuneexp.sweep.search.choice import build_scheduler
from tuneexp.sweep.search.schedulers.pbt import Pbt
from tuneexp.sweep.search.schedulers.scheduler import CONTINUE, PAUSE, Scheduler, SchedulerContext
from tuneexp.sweep.search.space.dimensions import Choice, Range

RATE = Range("loguniform", 1e-5, 1e-2)


class Own(Pbt):
    """It might decide otherwise."""


def built(trials: int | None = 4, fixed: dict[str, str] | None = None, **options: Any) -> Scheduler:
    context = SchedulerContext(1000, 0, trials, movable={"learning_rate": RATE}, immovable=fixed or {})
    return build_scheduler({"name": "pbt", "interval_env_steps": 100, **options}, context)


def started(scheduler: Scheduler, *names: str, **values: Any) -> None:
    for name in names:
        scheduler.configured(name, {"learning_rate": 1e-3, **values})
        scheduler.add(name)


def arrive(scheduler: Scheduler, **scores: float | None) -> None:
    for name, score in scores.items():
        assert scheduler.report(name, 100, score) == PAUSE


def continued(scheduler: Scheduler) -> list[str]:
    found = []
    while (due := scheduler.promotion()) is not None:
        scheduler.promoted(due)
        found.append(due)
    return found


def test_members_wait_until_the_last_one_has_arrived() -> None:
    scheduler = built()
    started(scheduler, "a", "b", "c")
    assert scheduler.report("a", 64, 5.0) == CONTINUE
    arrive(scheduler, a=1.0, b=2.0, c=3.0)
    assert scheduler.promotion() is None  # the fourth member has not started
    started(scheduler, "d")
    arrive(scheduler, d=4.0)
    (takeover,) = scheduler.takeovers()
    assert (takeover.trial_id, takeover.donor) == ("a", "d")
    assert takeover.values["learning_rate"] != 1e-3
    assert scheduler.promotion() is None  # the copy comes first
    scheduler.taken_over()
    assert continued(scheduler) == ["a", "b", "c", "d"]
    assert scheduler.report("b", 190, 1.0) == CONTINUE
    assert scheduler.report("b", 200, 1.0) == PAUSE


def test_nobody_waits_for_a_member_that_failed_or_ended() -> None:
    scheduler = built()
    started(scheduler, "a", "b", "c", "d")
    arrive(scheduler, a=1.0, b=2.0)
    scheduler.end("c", None, None)
    assert scheduler.promotion() is None
    scheduler.end("d", 900, 8.0)  # the last one fails: no deadlock
    assert [one.trial_id for one in scheduler.takeovers()] == ["a"]
    scheduler.end("b", None, None)  # its donor fails before the copy
    assert not scheduler.takeovers()
    assert continued(scheduler) == ["a"]


def test_a_member_without_a_score_is_replaced_or_ended() -> None:
    scheduler = built()
    started(scheduler, "a", "b", "c", "d")
    arrive(scheduler, a=None, b=2.0, c=None, d=4.0)
    assert {one.trial_id: one.donor for one in scheduler.takeovers()} == {"a": "d", "c": "d"}
    scheduler.taken_over()
    assert continued(scheduler) == ["a", "b", "c", "d"]
    for name in "abcd":
        assert scheduler.report(name, 200, None) == PAUSE
    assert set(scheduler.losers()) == {"a", "b", "c", "d"}  # nobody is left to copy from
    assert scheduler.promotion() is None


def test_members_of_another_program_are_no_donors() -> None:
    scheduler = built(fixed={"n_steps": "it shapes the program"})
    started(scheduler, "a", "b", n_steps=32)
    started(scheduler, "c", "d", n_steps=64)
    arrive(scheduler, a=None, b=1.0, c=3.0, d=4.0)
    (takeover,) = scheduler.takeovers()
    assert (takeover.trial_id, takeover.donor) == ("a", "b")
    assert set(takeover.values) == {"learning_rate"}


def test_a_decision_is_the_same_after_a_kill_before_it() -> None:
    first = built()
    started(first, "a", "b", "c", "d")
    arrive(first, a=1.0, b=2.0, c=3.0)
    second = built()
    second.set_state(json.loads(json.dumps(first.state())))
    started(second, "a", "b", "c", "d")
    for scheduler in (first, second):
        arrive(scheduler, d=4.0)
    assert first.takeovers() == second.takeovers()
    assert first.state() == second.state()


@pytest.mark.parametrize(
    ("trials", "options", "line"),
    [
        (None, {}, "the number of trials is the size of the population; write --trials 8"),
        (1, {}, "a population of 1 has nobody to copy from"),
        (4, {"mutate": ["n_steps"]}, "mutate=n_steps: it shapes the program; leave it out"),
        (4, {"mutate": ["gamma"]}, "mutate=gamma: it is not searched; searched and movable: learning_rate"),
        (4, {"interval_env_steps": 1000}, "interval_env_steps=1000 is no less than the budget"),
    ],
)
def test_bad_input_is_refused_in_one_line(trials: int | None, options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        built(trials, {"n_steps": "it shapes the program"}, **options)


def test_a_space_without_a_number_that_can_move_is_refused() -> None:
    context = SchedulerContext(1000, 0, 4, movable={}, immovable={"n_steps": "it shapes the program"})
    with pytest.raises(UserError, match=r"a population has nothing to move.*or write explore=false"):
        build_scheduler("pbt", context)
    build_scheduler({"name": "pbt", "explore": False}, context)


def test_a_searched_budget_is_refused() -> None:
    context = SchedulerContext(1000, 0, 4, movable={"learning_rate": RATE}, immovable={"budget_env_steps": "it is"})
    with pytest.raises(UserError, match="one budget_env_steps; remove it from the search space"):
        build_scheduler("pbt", context)


MEMBERS = [f"m{number}" for number in range(8)]


def trained(name: str, kills: bool) -> list[dict[str, Any]]:
    """Values that the members of a population take over. kills: a new scheduler continues before each call."""
    context = SchedulerContext(1000, 0, 8, movable={"learning_rate": RATE})
    values = {member: {"learning_rate": 1e-4 * 1.5**number} for number, member in enumerate(MEMBERS)}
    scheduler, found = build_scheduler({"name": name, "interval_env_steps": 100}, context), []

    def current() -> Scheduler:
        nonlocal scheduler
        if kills:
            stored = json.dumps(scheduler.state(), allow_nan=False)
            scheduler = build_scheduler({"name": name, "interval_env_steps": 100}, context)
            scheduler.set_state(json.loads(stored))
            for member in MEMBERS:
                scheduler.configured(member, values[member])
                scheduler.add(member)
        return scheduler

    for member in MEMBERS:
        scheduler.configured(member, values[member])
        scheduler.add(member)
    for boundary in range(100, 1000, 100):
        for number, member in enumerate(MEMBERS):
            score = boundary * values[member]["learning_rate"] + (number * boundary) % 7
            assert current().report(member, boundary, score) == PAUSE
        took = {one.trial_id: dict(one.values) for one in current().takeovers()}
        values |= took
        for member in took:
            current().configured(member, values[member])
        current().taken_over()
        found.append(took)
        while (due := current().promotion()) is not None:
            current().promoted(due)
    return found


@pytest.mark.parametrize("name", ["pbt", "pb2", "mf_pbt"])
def test_kills_at_each_moment_change_no_value(name: str) -> None:
    undisturbed = trained(name, kills=False)
    assert trained(name, kills=True) == undisturbed
    assert sum(map(len, undisturbed)) >= 9


def test_a_kind_of_the_user_is_not_stacked() -> None:
    context = SchedulerContext(1000, 0, 8, movable={"learning_rate": RATE})
    for name in ("pbt", "pb2", "mf_pbt"):
        build_scheduler({"name": name, "population": "stacked"}, context)
    with pytest.raises(UserError, match="population=stacked is an option of pbt, pb2, mf_pbt only"):
        build_scheduler({"name": f"{__file__}:Own", "population": "stacked"}, context)


def test_numbers_of_the_loss_may_change_and_the_rest_may_not() -> None:
    from tuneexp.algorithms.registry import config_class_of
    from tuneexp.sweep.search.space import SearchSpace
    from tuneexp.sweep.search.space.structural import movable

    config_class = config_class_of("ppo")
    space = SearchSpace.of({
        "learning_rate": {"loguniform": [1e-5, 1e-2]},
        "n_steps": {"choice": [32, 64]},
        "ent_coef": {"choice": [0.0, {"loguniform": [1e-4, 1e-2]}]},
        "model": {"activation": {"choice": ["relu", "tanh"]}},
        "clip_range": {"choice": [0.1, 0.2], "when": {"n_steps": [64]}},
    }).validate(config_class)  # fmt: skip
    moving, fixed = movable(space, config_class)
    assert set(moving) == {"learning_rate", "ent_coef", "clip_range"}
    assert isinstance(moving["ent_coef"], Choice)
    assert set(fixed) == {"n_steps", "model/activation"}
    assert "it shapes the program" in fixed["model/activation"]
