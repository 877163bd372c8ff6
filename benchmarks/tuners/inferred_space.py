"""Ranges and scales of hyperparameters, inferred from the values in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tuneexp.config import is_number
from tuneexp.errors import UserError
from tuneexp.sweep.search.space.dimensions import Choice, Range, Values, complement
from tuneexp.sweep.search.space.space_parser import Dimension

LOG_RATIO = 20.0  # numbers that span more are on a log scale, as in learning rates from 1e-4 to 1e-2
COMPLEMENT_RATIO = 8.0  # the same of 1 - x, for numbers from 0.5 to below 1, as in discount factors
MOST_OPTIONS = 32


def inferred_dimensions(rows: Sequence[Mapping[str, Any]]) -> tuple[Dimension, ...]:
    """Return one dimension for each hyperparameter of the configurations.

    Args:
        rows: hyperparameters of each configuration, the same names in each.

    Raises:
        UserError: a column of texts has too many of them to be a choice.
    """
    return tuple(Dimension(name, inferred(name, [row[name] for row in rows])) for name in rows[0])


def inferred(name: str, column: Sequence[Any]) -> Values:
    """Return the range of numbers, or the choice of other values.

    Args:
        name: of the hyperparameter.
        column: its value in each configuration; at least two are different.
    """
    if not all(is_number(value) for value in column):
        options = list(dict.fromkeys(column))
        if len(options) > MOST_OPTIONS:
            raise UserError(f"column {name!r} has {len(options)} different texts; remove it if it is no hyperparameter")
        return Choice(tuple(options))
    low, high = min(column), max(column)
    whole = all(isinstance(value, int) for value in column)
    if low > 0 and high / low >= LOG_RATIO:
        return Range("logint" if whole else "loguniform", low, high)
    if low >= 0.5 and high < 1 and complement(low) / complement(high) >= COMPLEMENT_RATIO:
        return Range("complement_loguniform", low, high)
    return Range("int" if whole else "uniform", low, high)


def is_index(column: Sequence[Any]) -> bool:
    """Return True for the numbers of the rows, or of configurations of several rows: 0, 0, 1, 1, 2, 2, ..."""
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in column) or column[0] not in (0, 1):
        return False
    steps = [after - before for before, after in pairwise(column)]
    return len(set(column)) > MOST_OPTIONS and all(step in (0, 1) for step in steps)
