"""Moves of a value in the domain of its dimension."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tuneexp.sweep.search.population.generators import continued, generator_of, state_of
from tuneexp.sweep.search.population.moves import perturbed, resampled
from tuneexp.sweep.search.space.dimensions import Choice, Range

DIMENSIONS: dict[str, Range | Choice] = {
    "loguniform": Range("loguniform", 1e-5, 1e-3),
    "complement": Range("complement_loguniform", 0.9, 0.9999),
    "uniform": Range("uniform", -1.0, 3.0),
    "quniform": Range("quniform", 0.1, 1.0, 0.25),
    "int": Range("int", 2, 9),
    "int with steps": Range("int", 4, 64, 4),
    "logint": Range("logint", 1, 512),
    "numbers": Choice((32, 64, 128)),
    "words": Choice(("relu", "tanh", "elu")),
    "lists": Choice(([64], [64, 64])),
    "mixed": Choice((0.0, Range("loguniform", 1e-4, 1e-2))),
}


@pytest.mark.parametrize("name", DIMENSIONS)
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_value_stays_in_its_domain_and_always_moves(name: str, seed: int) -> None:
    dimension, generator = DIMENSIONS[name], generator_of(seed)
    value: Any = resampled(dimension, generator)
    for _ in range(300):
        assert dimension.contains(value), value
        moved = perturbed(dimension, value, 0.2, generator)
        assert moved != value
        assert isinstance(moved, int) or not isinstance(value, int) or isinstance(dimension, Choice)
        value = moved


@pytest.mark.parametrize("name", DIMENSIONS)
def test_draws_cover_the_domain(name: str) -> None:
    dimension, generator = DIMENSIONS[name], generator_of(3)
    drawn = [resampled(dimension, generator) for _ in range(400)]
    assert all(map(dimension.contains, drawn))
    if isinstance(dimension, Choice):
        assert {str(option) for option in dimension.options if not isinstance(option, Range)} <= set(map(str, drawn))
    elif name in ("int", "int with steps", "quniform"):
        assert len(set(drawn)) == {"int": 8, "int with steps": 16, "quniform": 4}[name]


def test_moves_have_the_scale_of_the_range() -> None:
    generator = generator_of(0)
    moved = {perturbed(DIMENSIONS["loguniform"], 1e-4, 0.2, generator) for _ in range(20)}
    assert sorted(moved) == pytest.approx([1e-4 / 1.2, 1.2e-4])
    moved = {perturbed(DIMENSIONS["complement"], 0.99, 0.2, generator) for _ in range(20)}
    assert sorted(moved) == pytest.approx([1 - 0.012, 1 - 0.01 / 1.2])
    moved = {perturbed(Range("uniform", 0.0, 1.0), 0.5, 0.2, generator) for _ in range(20)}
    assert sorted(moved) == pytest.approx([0.4, 0.6])  # the factors of the paper
    moved = {perturbed(DIMENSIONS["int"], 2 + 3, 0.01, generator) for _ in range(20)}
    assert sorted(moved) == [4, 6]


def test_at_a_bound_a_value_moves_inwards_and_outside_of_it_back() -> None:
    generator = generator_of(0)
    assert {perturbed(DIMENSIONS["int"], 2, 0.1, generator) for _ in range(20)} == {3}
    assert {perturbed(DIMENSIONS["numbers"], 128, 0.1, generator) for _ in range(20)} == {64}
    assert {perturbed(DIMENSIONS["numbers"], 64, 0.1, generator) for _ in range(20)} == {32, 128}
    moved = {perturbed(DIMENSIONS["loguniform"], 0.5, 0.2, generator) for _ in range(20)}
    assert sorted(moved) == pytest.approx([1e-3 / 1.2])  # as from the bound
    assert {perturbed(DIMENSIONS["words"], "relu", 0.1, generator) for _ in range(30)} == {"tanh", "elu"}
    assert perturbed(Choice((3,)), 3, 0.1, generator) == 3
    assert perturbed(Range("uniform", 0.5, 0.5), 0.5, 0.1, generator) == 0.5


def test_logarithmic_draws_are_uniform_in_their_scale() -> None:
    generator = generator_of(5)
    drawn = [math.log10(resampled(DIMENSIONS["loguniform"], generator)) for _ in range(2000)]
    assert sum(drawn) / 2000 == pytest.approx(-4, abs=0.05)
    small = sum(resampled(Range("logint", 1, 100), generator) <= 10 for _ in range(2000)) / 2000
    assert small == pytest.approx(math.log(10.5 / 0.5) / math.log(100.5 / 0.5), abs=0.04)


def test_a_generator_goes_on_from_its_state() -> None:
    generator = generator_of(11)
    generator.integers(5, size=3)
    again = continued(state_of(generator))
    assert [again.random() for _ in range(5)] == [generator.random() for _ in range(5)]
