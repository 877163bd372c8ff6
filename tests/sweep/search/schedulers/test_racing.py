"""Racing on seeds: which cohorts follow from the rungs, and by which bounds trials are compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tuneexp.errors import UserError
from tuneexp.sweep import Sweep
from tuneexp.sweep.search.choice import build_scheduler
from tuneexp.sweep.search.schedulers.racing import Bounds, check_racing, totals
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext


def racing(name: str = "asha", of: int = 8, **options: Any) -> Any:
    return build_scheduler({"name": name, **options}, SchedulerContext(900, seeds=of))


@pytest.mark.parametrize(
    ("start", "final", "rungs", "numbers"),
    [(1, 8, 3, [1, 2, 4, 8]), (1, 8, 2, [1, 3, 8]), (2, 3, 3, [2, 2, 3, 3]), (3, 3, 2, [3, 3, 3]), (1, 8, 0, [8])],
)
def test_seeds_grow_by_about_the_same_factor(start: int, final: int, rungs: int, numbers: list[int]) -> None:
    assert totals(start, final, rungs) == numbers


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_cohorts_join_at_the_rungs(name: str) -> None:
    race = {"seeds": {"start": 1}, "grace_env_steps": 100, "reduction_factor": 2}
    expected = [(0, 1), (100, 1), (200, 1), (400, 2), (800, 3)]
    scheduler = racing(name, **race)
    assert [(one["from_env_steps"], one["seeds"]) for one in scheduler.cohorts()] == expected
    assert scheduler.pauses
    assert racing(name, 3, seeds={"start": 2, "final": 3}).cohorts() == [
        {"from_env_steps": 0, "seeds": 2}, {"from_env_steps": 300, "seeds": 1},
    ]  # fmt: skip
    assert racing(name).cohorts() == []
    assert not racing(name).pauses
    assert not racing("asha", promote=False).pauses


def test_a_trial_of_one_seed_has_the_variance_of_the_others() -> None:
    bounds = Bounds(2.0)
    bounds.note("one", None, 1)
    assert bounds.upper("one", 5.0) == 5.0  # nothing is known yet
    bounds.note("many", 3.0, 4)  # a variance of 36 over seeds
    one, many = (bounds.upper(trial_id, 0.0) for trial_id in ("one", "many"))
    assert one == pytest.approx(2 * many, rel=1e-3)  # the same variance, of one seed and of four
    assert many == pytest.approx(2 * 3, rel=0.3)
    bounds.note("one", 1.0, 4)
    assert 2 * 1 < bounds.upper("one", 0.0) < bounds.upper("many", 0.0) < many  # each is moderated by the other
    again = Bounds(2.0)
    again.set_state(bounds.state())
    assert again.upper("one", 5.0) == bounds.upper("one", 5.0)
    assert Bounds(0.0).upper("one", 5.0) == 5.0
    assert bounds.upper("unknown", 5.0) == 5.0
    bounds.note("equal", 0.0, 3)
    assert math.isfinite(bounds.upper("equal", 5.0))


def test_a_bound_keeps_a_noisy_trial_that_its_mean_would_stop() -> None:
    decisions = []
    for errors in (0.0, 3.0):
        scheduler = racing(promote=False, seeds={"start": 2, "standard_errors": errors})
        for number, error in enumerate([0.1, 0.1, 0.1, 5.0]):
            trial_id = f"{number}"
            scheduler.add(trial_id)
            scheduler.note_error(trial_id, error, 2)
            decision = scheduler.report(trial_id, 100, 10.0 - number)
        decisions.append(decision)
    assert decisions == ["STOP", "CONTINUE"]


def test_the_order_of_a_rung_is_that_of_the_bounds() -> None:
    scheduler = racing(seeds={"start": 2, "standard_errors": 3.0})
    for trial_id, (objective, error) in {"a": (10.0, 0.1), "b": (9.0, 5.0), "c": (8.0, 0.1)}.items():
        scheduler.add(trial_id)
        scheduler.note_error(trial_id, error, 2)
        scheduler.report(trial_id, 100, objective)
    assert scheduler.promotion() == "b"


@pytest.mark.parametrize(
    ("name", "options", "seeds", "line"),
    [
        ("asha", {"seeds": {"start": 5}}, 4, "seeds/start=5 is more than the 4 seed(s) at the end; write --seeds 5"),
        ("asha", {"seeds": {"final": 8}}, 4, "seeds/final=8, but the sweep has 4 seed(s); write --seeds 8"),
        ("asha", {"seeds": {"start": 1}}, 1, "needs two seeds or more; write --seeds 8"),
        ("asha", {"seeds": 3}, 4, "write {start: 1}, the number of seeds at the start, not 3"),
        ("asha", {"seeds": {"start": 0}}, 4, "seeds/start: input should be greater than or equal to 1"),
        ("asha", {"seeds": {"begin": 1}}, 4, "unknown setting 'seeds/begin'; did you mean 'seeds/final'?"),
        ("fifo", {"seeds": {"start": 1}}, 4, "fifo has no option 'seeds'; it is an option of asha and hyperband"),
        ("median", {"seeds": {"start": 1}}, 4, "median has no option 'seeds'"),
    ],
)
def test_seeds_that_do_not_fit_are_refused_by_name(name: str, options: Any, seeds: int, line: str) -> None:
    with pytest.raises(UserError) as refused:
        racing(name, seeds, **options)
    assert line in str(refused.value)


def test_what_can_t_race_is_refused_before_the_start() -> None:
    with pytest.raises(UserError, match="one budget for all trials; leave out budget_env_steps in the space"):
        check_racing(True, {})
    with pytest.raises(UserError, match="write num_learners=0"):
        check_racing(False, {"num_learners": 2})
    race = {"name": "asha", "seeds": {"start": 1}}
    with pytest.raises(UserError, match="compares one objective, and there are 2"):
        Sweep("ppo", "CartPole-v1", seeds=3, scheduler=race, objectives=["return_mean", "wall_s"]).dry_run()
    with pytest.raises(UserError, match="write num_env_runners=0"):
        Sweep("ppo", "CartPole-v1", seeds=3, scheduler=race, fixed={"num_env_runners": 2}).dry_run()


def test_bounds_of_many_trials_are_those_of_their_own_noise() -> None:
    """With variances that really differ, a bound follows the trial's own seeds."""
    rng, bounds = np.random.default_rng(0), Bounds(1.0)
    spread = {f"{number}": 10.0 ** (number % 3) for number in range(60)}
    for trial_id, deviation in spread.items():
        bounds.note(trial_id, float(rng.normal(0, deviation, 8).std(ddof=1) / 8**0.5), 8)
    widths = {trial_id: bounds.upper(trial_id, 0.0) for trial_id in spread}
    for size in (1.0, 10.0, 100.0):
        own = [width for trial_id, width in widths.items() if spread[trial_id] == size]
        assert np.median(own) == pytest.approx(size / 8**0.5, rel=0.3)
