"""Values of a range as numbers in [0, 1], in the scale of the range."""

from __future__ import annotations

import math

from tuneexp.sweep.search.population.moves import in_domain
from tuneexp.sweep.search.space.dimensions import LOG_KINDS, Range, complement

_COMPLEMENT = "complement_loguniform"


def to_unit(values: Range, value: float) -> float:
    """Return the place of a value: 0 at the lower bound, 1 at the upper one."""
    low, high = _scaled(values, values.low), _scaled(values, values.high)
    place = (_scaled(values, values.nearest(value)) - low) / (high - low) if high > low else 0.5
    return min(max(place, 0.0), 1.0)


def from_unit(values: Range, place: float) -> float:
    """Return the value of the range that is nearest to a place in [0, 1]."""
    low, high = _scaled(values, values.low), _scaled(values, values.high)
    scaled = low + place * (high - low)
    if values.kind == _COMPLEMENT:
        return in_domain(values, complement(math.exp(-scaled)))
    return in_domain(values, math.exp(scaled) if values.kind in LOG_KINDS else scaled)


def _scaled(values: Range, value: float) -> float:
    if values.kind == _COMPLEMENT:
        return -math.log(complement(value))
    return math.log(value) if values.kind in LOG_KINDS else float(value)
