"""Division of a time between a sweep and its confirmation."""

from __future__ import annotations

import pytest

from tuneexp.sweep.confirming.costs import FORMS, Costs, form_within
from tuneexp.sweep.planning.estimate import START_S
from tuneexp.sweep.tuning.shares import FEWEST_TRIALS, LARGEST_SHARE, SHORTEST_BUDGET, shares

# A trial of 3 seeds takes 6 s; two run at the same time.
COSTS = Costs(trial_s=6.0, seeds=3, budget_env_steps=50_000, at_once=2)


def test_a_confirmation_costs_its_waves_of_trainings_with_more_seeds() -> None:
    assert COSTS.confirmation_s(3, 10) == START_S + 2 * 20.0
    assert COSTS.confirmation_s(1, 6) == START_S + 12.0
    assert COSTS.with_budget(25_000).confirmation_s(3, 10) == START_S + 20.0


def test_the_largest_confirmation_within_a_time_is_taken() -> None:
    assert form_within(COSTS, 1e9) == (3, 10)
    assert form_within(COSTS, 1e9, most=1) == (1, 10)
    assert form_within(COSTS, START_S + 39.9) == (1, 10)
    assert form_within(COSTS, 0.0) == FORMS[-1]


@pytest.mark.parametrize("seconds", [300.0, 1800.0, 36_000.0])
@pytest.mark.parametrize("trial_s", [1.0, 6.0, 40.0, 300.0])
def test_the_sweep_has_time_for_whole_trainings_beside_the_confirmation(seconds: float, trial_s: float) -> None:
    costs = Costs(trial_s, 3, 50_000, 2)
    found = shares(costs, seconds)
    assert found is not None
    assert found.sweep_s + found.confirmation_s == pytest.approx(seconds)
    assert found.confirmation_s <= LARGEST_SHARE * seconds
    assert found.trials >= FEWEST_TRIALS
    now = costs.with_budget(found.budget_env_steps)
    assert found.confirmation_s == pytest.approx(now.confirmation_s(found.top, found.seeds))
    twice = costs.with_budget(2 * found.budget_env_steps)
    assert found.budget_env_steps == 50_000 or shares(twice, seconds, fixed_budget=True) is None


def test_a_time_that_is_too_short_has_no_shares() -> None:
    assert shares(Costs(3000.0, 3, SHORTEST_BUDGET, 2), 300.0) is None
    assert shares(Costs(300.0, 3, 50_000, 2), 300.0, fixed_budget=True) is None
