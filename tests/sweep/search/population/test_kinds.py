"""PB2 and populations at several frequencies."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tuneexp.errors import UserError
from tuneexp.sweep.search.population.generators import generator_of
from tuneexp.sweep.search.population.mf_pbt import MfPbtOptions, MfPopulation
from tuneexp.sweep.search.population.pb2 import Pb2Options, Pb2Population
from tuneexp.sweep.search.population.unit_values import from_unit, to_unit
from tuneexp.sweep.search.space.dimensions import Choice, Range

RATE = Range("loguniform", 1e-5, 1e-1)
SPACE: dict[str, Any] = {"rate": RATE, "size": Range("int", 2, 20, 2), "kind": Choice((1, 2, 3))}
RANGES = [RATE, SPACE["size"], Range("complement_loguniform", 0.9, 0.999), Range("quniform", 0.0, 1.0, 0.25)]


@pytest.mark.parametrize("values", RANGES)
def test_places_and_values_of_a_range_are_inverse(values: Range) -> None:
    assert (to_unit(values, values.low), to_unit(values, values.high)) == (0.0, 1.0)
    for place in (0.0, 0.1, 0.37, 0.5, 0.99, 1.0):
        value = from_unit(values, place)
        assert values.contains(value)
        assert from_unit(values, to_unit(values, value)) == pytest.approx(value)


def own(rates: list[float]) -> list[dict[str, Any]]:
    return [{"rate": rate, "size": 4, "kind": 2} for rate in rates]


@pytest.mark.parametrize("seed", range(3))
def test_pb2_learns_where_scores_rise_most(seed: int) -> None:
    # A member gains most near a rate of 1e-3, whatever its score is.
    generator = generator_of(seed)
    population = Pb2Population({"rate": RATE}, Pb2Options(deviations=0.5), 8)
    values = [{"rate": from_unit(RATE, float(generator.random()))} for _ in range(8)]
    scores, found = [0.0] * 8, []
    for step in range(1, 13):
        scores = [score + 1 - abs(to_unit(RATE, one["rate"]) - 0.5) for score, one in zip(scores, values, strict=True)]
        decision = population.decide(scores, values, generator, 100 * step)
        found += [decision.values[member]["rate"] for member in decision.replaced if step > 6]
        values = [dict(one) for one in decision.values]
        scores = [scores[donor] for donor in decision.donors]
    places = sorted(abs(to_unit(RATE, rate) - 0.5) for rate in found)
    assert len(places) >= 6
    assert places[len(places) // 2] < 0.15  # uniform draws have 0.25


def test_pb2_keeps_the_domain_moves_choices_and_is_fast() -> None:
    generator, population = generator_of(1), Pb2Population(SPACE, Pb2Options(), 16)
    values = own([1e-4 * (1 + one) for one in range(16)])
    for step in range(12):
        start_s = time.process_time()
        decision = population.decide([float(one) for one in range(16)], values, generator, 100 * step)
        spent_s = time.process_time() - start_s
        for one in decision.values:
            assert all(SPACE[name].contains(one[name]) for name in SPACE)
        values = [dict(one) for one in decision.values]
    assert spent_s < 2.0
    other = Pb2Population(SPACE, Pb2Options(), 16)
    other.set_state(json.loads(json.dumps(population.state())))
    again = [one.decide([*range(16)], values, generator_of(5), 1300) for one in (population, other)]
    assert again[0] == again[1]


def test_pb2_does_not_count_a_takeover_as_a_gain() -> None:
    population = Pb2Population({"rate": RATE}, Pb2Options(), 4)
    values = [{"rate": 1e-3} for _ in range(4)]
    decision = population.decide([0.0, 50.0, 60.0, 100.0], values, generator_of(0), 100)
    assert decision.donors == (3, 1, 2, 3)
    population.decide([103.0, 51.0, 62.0, 104.0], [dict(one) for one in decision.values], generator_of(0), 200)
    assert [row[1] for row in population.state()["rows"]] == [3.0, 1.0, 2.0, 4.0]


def mf(members: int = 8, **options: Any) -> MfPopulation:
    return MfPopulation({"rate": RATE}, MfPbtOptions(**options), members)


def rates(count: int) -> list[dict[str, Any]]:
    return [{"rate": 1e-4 * (1 + one)} for one in range(count)]


def test_a_slower_sub_population_evolves_at_its_own_rounds() -> None:
    population, generator = mf(frequencies=[1, 2]), generator_of(0)
    scores = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    assert population.decide(scores, rates(8), generator).replaced == [3]
    assert population.decide(scores, rates(8), generator).replaced == [3, 6, 7]


def test_values_do_not_migrate_to_a_slower_sub_population_but_states_do() -> None:
    population, generator = mf(frequencies=[1, 2]), generator_of(0)
    population.decide([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], rates(8), generator)
    decision = population.decide([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], rates(8), generator)
    assert decision.donors[6] == 0  # of the faster ones, the best
    assert decision.values[6] == rates(8)[4]  # with the values of the best of its own
    assert decision.donors[7] == 4
    assert decision.values[7] != rates(8)[4]  # explored
    decision = population.decide([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], rates(8), generator)
    assert (decision.donors[1], decision.values[1]) == (7, rates(8)[7])  # from a slower one with its values


def test_members_without_a_score_are_replaced_and_ended_ones_are_missing() -> None:
    decision = mf().decide([None, None, 3.0, 4.0], rates(4), generator_of(0), numbers=[0, 1, 2, 5])
    assert decision.replaced == [0, 1]
    assert mf().decide([None] * 8, rates(8), generator_of(0)).replaced == []


@pytest.mark.parametrize(
    ("members", "options", "line"),
    [
        (7, {}, "divide a population of 7 into 2, and each needs 4 members; write --trials 8"),
        (8, {"quantile": 0.5}, "replaces a quarter of each sub-population; leave out quantile"),
    ],
)
def test_a_population_that_can_t_be_divided_is_refused(members: int, options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        mf(members, **options)


def test_frequencies_increase() -> None:
    with pytest.raises(ValueError, match="write increasing whole numbers"):
        MfPbtOptions(frequencies=[4, 1])
