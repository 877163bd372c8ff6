"""Dominance, fronts and their order, beside definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from tuneexp.sweep.search.pareto import Fronts, front, spread_order
from tuneexp.sweep.search.schedulers.ranking import FrontRanking, NumberRanking


def sorted_fronts(points: np.ndarray) -> list[int]:
    """The front of each point, peeled off one after the other."""
    left, found, level = list(range(len(points))), [0] * len(points), 0
    while left:
        best = [left[index] for index in front(points[left].tolist())]
        for index in best:
            found[index] = level
        left, level = [index for index in left if index not in best], level + 1
    return found


def test_the_front_has_the_points_that_no_point_dominates() -> None:
    assert front([[1, 5], [2, 4], [1, 4], [2, 4], [0, 9]]) == [0, 1, 3, 4]
    assert front([[3.0]]) == [0]
    assert front([]) == []


@pytest.mark.parametrize("objectives", [2, 3])
def test_fronts_of_points_that_arrive_are_those_of_sorting(objectives: int) -> None:
    points = np.random.default_rng(objectives).integers(0, 8, (120, objectives)).astype(float)  # with equal ones
    fronts = Fronts()
    for point in points:
        expected = fronts.front_of(point)
        fronts.add(point)
        assert fronts.fronts[-1] == expected
    assert fronts.fronts.tolist() == sorted_fronts(points)


def test_a_part_of_a_front_is_spread_over_it() -> None:
    line = np.array([[x, 10.0 - x] for x in range(11)])
    assert spread_order(line, 3) == [10, 0, 5]  # the best in the first objective, the other end, the middle
    assert sorted(spread_order(line)) == list(range(11))
    assert spread_order(line * [1.0, 1000.0], 3) == [10, 0, 5]  # units don't matter
    assert sorted(spread_order(np.ones((3, 2)))) == [0, 1, 2]


def test_better_fronts_come_first_and_the_last_one_is_cut() -> None:
    fronts = Fronts()
    for point in [[0.0, 0.0], [5.0, 5.0], [6.0, 4.0], [4.0, 6.0], [3.0, 3.0]]:
        fronts.add(point)
    assert fronts.best(2) == [2, 3]  # the ends of the first front
    assert fronts.best(3) == [1, 2, 3]
    assert fronts.best(4) == [1, 2, 3, 4]


@pytest.mark.parametrize("share", [0.5, 2 / 3, 0.75])
def test_one_objective_as_a_vector_is_ranked_as_a_number(share: float) -> None:
    numbers, vectors = NumberRanking(), FrontRanking()
    for trial, value in enumerate(np.random.default_rng(1).permutation(60)):
        place = (1 - share) * (len(numbers) - 1)
        if place == int(place):  # in between a quantile of numbers is interpolated
            assert numbers.is_below(share, float(value)) == vectors.is_below(share, (float(value),))
        numbers.add(str(trial), float(value))
        vectors.add(str(trial), (float(value),))
        number = len(numbers) // 3
        assert sorted(numbers.best(number)) == sorted(vectors.best(number))


def test_a_trial_as_good_as_another_is_not_below_it() -> None:
    ranking = FrontRanking()
    for trial in range(9):
        assert not ranking.is_below(2 / 3, (1.0, 2.0))
        ranking.add(str(trial), (1.0, 2.0))
    assert ranking.is_below(2 / 3, (0.0, 2.0))
    assert not ranking.is_below(2 / 3, (0.0, 9.0))  # another end of the front
