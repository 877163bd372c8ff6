"""Position of a value in the scale of its dimension, from 0 to 1."""

from __future__ import annotations

import math
from typing import Any

from tuneexp.sweep.search.space.dimensions import INT_KINDS, LOG_KINDS, Choice, Range, Values, complement

SIGNIFICANT = 4


def position(values: Values, value: Any) -> float:
    """Return the position of a value in its scale.

    Args:
        values: a range, or a choice, whose options have equal distances in their order.
        value: one of them.

    Returns:
        0 for the lowest value and 1 for the highest.
    """
    if isinstance(values, Choice):
        options = list(values.options)
        return options.index(value) / max(1, len(options) - 1)
    low, high = _scaled(values, values.low), _scaled(values, values.high)
    return (_scaled(values, value) - low) / (high - low) if high != low else 0.0


def value_at(values: Range, share: float) -> float:
    """Return the value at a position of a range, with four significant digits: the inverse of `position`.

    Digits of `complement_loguniform` are those of 1 - value."""
    low, high = _scaled(values, values.low), _scaled(values, values.high)
    scaled = low + share * (high - low)
    if values.kind == "complement_loguniform":
        value = complement(_rounded(math.exp(-scaled)))
    else:
        value = _rounded(math.exp(scaled) if values.kind in LOG_KINDS else scaled)
    value = values.on_grid(round(value) if values.kind in INT_KINDS else value)
    return min(max(value, values.low), values.high)


def _scaled(values: Range, value: float) -> float:
    if values.kind == "complement_loguniform":
        return -math.log(complement(value))
    return math.log(value) if values.kind in LOG_KINDS else float(value)


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT}g}")
