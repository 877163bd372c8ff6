"""Decisions about a population."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest

from tuneexp.errors import UserError
from tuneexp.sweep.search.population.generators import generator_of
from tuneexp.sweep.search.population.options import PbtOptions
from tuneexp.sweep.search.population.population import Population
from tuneexp.sweep.search.space.dimensions import Range

SPACE = {"learning_rate": Range("loguniform", 1e-5, 1e-2), "gamma": Range("complement_loguniform", 0.9, 0.999)}


def values(count: int) -> list[dict[str, Any]]:
    return [{"learning_rate": 1e-4 * (1 + one), "gamma": 0.99, "batch_size": 32 * (1 + one)} for one in range(count)]


def population(members: int, **options: Any) -> Population:
    return Population(SPACE, PbtOptions(**options), members)


@pytest.mark.parametrize("seed", range(5))
def test_the_lowest_quantile_copies_the_highest(seed: int) -> None:
    scores = [5.0, 1.0, 7.0, 2.0, 8.0, 3.0, 4.0, 6.0]
    decision = population(8).decide(scores, values(8), generator_of(seed))
    assert decision.replaced == [1, 3]
    assert {decision.donors[1], decision.donors[3]} <= {2, 4}
    for member in (0, 2, 4, 5, 6, 7):
        assert decision.values[member] == values(8)[member]


def test_both_donors_are_drawn() -> None:
    drawn = {population(8).decide(list(range(8)), values(8), generator_of(seed)).donors[0] for seed in range(30)}
    assert drawn == {6, 7}


@pytest.mark.parametrize("seed", range(5))
def test_values_move_from_the_donor_s_in_the_domain_and_others_stay(seed: int) -> None:
    own = values(4)
    decision = population(4, resample_probability=0).decide([0.0, 1.0, 2.0, 3.0], own, generator_of(seed))
    moved, donor = decision.values[0], own[3]
    assert decision.donors == (3, 1, 2, 3)
    ratio = moved["learning_rate"] / donor["learning_rate"]
    assert min(abs(ratio - 1.2), abs(ratio - 1 / 1.2)) < 1e-9
    assert moved["batch_size"] == own[0]["batch_size"]  # not in the space: its own
    drawn = population(4, resample_probability=1).decide([0.0, 1.0, 2.0, 3.0], own, generator_of(seed)).values[0]
    assert all(SPACE[name].contains(drawn[name]) for name in SPACE)


def test_without_explore_the_donor_s_values_are_copied() -> None:
    decision = population(4, explore=False).decide([0.0, 1.0, 2.0, 3.0], values(4), generator_of(0))
    assert decision.values[0] == {**values(4)[3], "batch_size": 32}


@pytest.mark.parametrize("failed", [None, math.nan, -math.inf, math.inf])
def test_a_member_without_a_score_ranks_below_all_and_is_replaced(failed: float | None) -> None:
    scores = [-5.0, failed, failed, 3.0, 4.0, 9.0, failed, 5.0]
    decision = population(8).decide(scores, values(8), generator_of(1))
    assert decision.replaced == [1, 2, 6]  # more than the quantile; a finite score is better than none
    assert {decision.donors[member] for member in decision.replaced} <= {5, 7}


def test_without_any_score_nothing_is_copied() -> None:
    decision = population(4).decide([None, math.nan, None, math.nan], values(4), generator_of(0))
    assert decision.donors == (0, 1, 2, 3)
    assert list(decision.values) == values(4)
    assert population(4).decide([], [], generator_of(0)).donors == ()


def test_the_only_finite_member_is_the_donor_of_all() -> None:
    assert population(4).decide([None, -1.0, None, None], values(4), generator_of(0)).donors == (1, 1, 1, 1)


def test_equal_scores_copy_nothing() -> None:
    assert population(4).decide([1.0] * 4, values(4), generator_of(0)).replaced == []


def test_members_copy_within_their_group() -> None:
    scores, groups = [0.0, 1.0, 2.0, 3.0, None], ["a", "a", "b", "b", "a"]
    decision = population(5).decide(scores, values(5), generator_of(0), groups=groups)
    assert decision.replaced == [4]  # the lowest finite one has no better donor of its group in the highest quantile
    assert decision.donors[4] in (0, 1)
    alone = population(4).decide([0.0, 1.0, 2.0, None], values(4), generator_of(0), groups=["a", "a", "a", "b"])
    assert alone.replaced == []


def test_a_population_that_has_shrunk_goes_on() -> None:
    decision = population(8).decide([1.0, 3.0], values(2), generator_of(0))
    assert decision.donors == (1, 1)
    assert population(8).decide([1.0], values(1), generator_of(0)).donors == (0,)


def test_same_seed_same_decisions() -> None:
    first, second = (population(8).decide(list(range(8)), values(8), generator_of(4)) for _ in range(2))
    assert first == second
    json.dumps(first.values)


@pytest.mark.parametrize(
    ("members", "options", "line"),
    [
        (1, {}, "a population of 1 has nobody to copy from; write --trials 4 or more"),
        (3, {"quantile": 0.5}, "the lowest 2 and the highest 2 overlap; write --trials 4 or quantile=0.33"),
    ],
)
def test_too_small_a_population_is_refused(members: int, options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        population(members, **options)


def test_the_interval_is_below_the_budget() -> None:
    assert PbtOptions().interval(1000) == 100
    assert PbtOptions(interval_env_steps=250).interval(1000) == 250
    with pytest.raises(UserError, match="no less than the budget of 1000 env steps; write for example 100"):
        PbtOptions(interval_env_steps=1000).interval(1000)


def test_decisions_need_neither_ray_nor_optuna() -> None:
    script = (
        "import sys, tuneexp.sweep.search.population.population; print({'ray', 'optuna', 'torch'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "set()"
