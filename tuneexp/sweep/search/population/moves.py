"""Moves of a value within its dimension of a search space: perturbed, or drawn again.

Explore of Jaderberg et al. 2017 (arXiv:1711.09846), section 4.1.1. A moved value is in its domain."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from tuneexp.config import is_number
from tuneexp.sweep.search.space.dimensions import LOG_KINDS, Choice, Range, Values, complement, same


def perturbed(values: Values, value: Any, perturbation: float, generator: np.random.Generator) -> Any:
    """Move a value up or down, each with probability 1/2; at a bound, inwards.

    Where a range is logarithmic, the value is multiplied or divided by `1 + perturbation`. In a linear range, that
    share of half its width is added or subtracted: in the middle of a range from 0, the factors of the paper. Whole
    numbers, and those of a range with steps, move by a step at least. Of a choice of numbers in their order it is a
    neighbour; of any other choice, another option.

    Args:
        values: The dimension.
        value: The value of today. One outside of the dimension counts as the nearest in it.
        perturbation: Size of the move, above 0.
        generator: Source of the randomness.

    Returns:
        Another value, unless the dimension has one only.
    """
    if isinstance(values, Choice):
        return _perturbed_option(values, value, perturbation, generator)
    upwards = bool(generator.random() < 0.5)
    start = min(values.nearest(value), _greatest(values))
    moved = _moved(values, start, perturbation, upwards)
    return moved if moved != start else _moved(values, start, perturbation, not upwards)


def resampled(values: Values, generator: np.random.Generator) -> Any:
    """Draw a value of a dimension: uniformly, in the scale of a range."""
    if isinstance(values, Choice):
        option = values.options[int(generator.integers(len(values.options)))]
        return resampled(option, generator) if isinstance(option, Range) else copy.deepcopy(option)
    low, high = values.low, values.high
    if values.step is not None or values.kind == "int":
        step = values.step or 1
        count = 1 + math.floor((_greatest(values) - low) / step + 1e-9)
        return values.on_grid(_whole(values, low + int(generator.integers(count)) * step))
    if values.kind == "logint":  # each whole number has the interval that is rounded to it
        drawn = _log_uniform(low - 0.5, high + 0.5, generator)
        return int(values.nearest(min(max(round(drawn), low), high)))
    if values.kind == "complement_loguniform":
        drawn = complement(_log_uniform(complement(high), complement(low), generator))
        return values.nearest(drawn)
    if values.kind in LOG_KINDS:
        return values.nearest(_log_uniform(low, high, generator))
    return values.nearest(float(generator.uniform(low, high)))


def _log_uniform(low: float, high: float, generator: np.random.Generator) -> float:
    return math.exp(generator.uniform(math.log(low), math.log(high)))


def _moved(values: Range, value: float, perturbation: float, upwards: bool) -> float:
    factor = 1 + perturbation if upwards else 1 / (1 + perturbation)
    if values.kind in LOG_KINDS:
        moved = value * factor
    elif values.kind == "complement_loguniform":
        moved = complement(complement(value) / factor)
    else:
        width = perturbation / 2 * (values.high - values.low)
        moved = value + width if upwards else value - width
    if values.is_int or values.step is not None:
        unit = values.step or 1
        least = value + unit if upwards else value - unit
        moved = _whole(values, max(moved, least) if upwards else min(moved, least))
    return in_domain(values, moved)


def in_domain(values: Range, number: float) -> float:
    """Return the value of a range that is nearest to a number."""
    return min(values.nearest(_whole(values, number)), _greatest(values))


def _greatest(values: Range) -> float:
    """Return the greatest value of a range. Its upper bound may lie between two steps."""
    return values.on_grid(values.high, round_down=True)


def _whole(values: Range, number: float) -> float:
    return round(number) if values.is_int else number


def _perturbed_option(values: Choice, value: Any, perturbation: float, generator: np.random.Generator) -> Any:
    options = values.options
    held = [one.contains(value) if isinstance(one, Range) else same(one, value) for one in options]
    index = held.index(True) if True in held else None
    if index is not None and isinstance(options[index], Range):
        return perturbed(options[index], value, perturbation, generator)
    if index is not None and _is_ordered(options):
        step = 1 if generator.random() < 0.5 else -1
        there = index + step if 0 <= index + step < len(options) else index - step
        return options[there] if 0 <= there < len(options) else value
    others = tuple(one for number, one in enumerate(options) if number != index)
    return resampled(Choice(others), generator) if others else value


def _is_ordered(options: tuple[Any, ...]) -> bool:
    """Return True for numbers that increase or decrease."""
    return all(map(is_number, options)) and list(options) in (sorted(options), sorted(options, reverse=True))
