"""All points of a finite search space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tuneexp.errors import UserError
from tuneexp.sweep.search.space.dimensions import LOG_KINDS, Range, Values, complement
from tuneexp.sweep.search.space.listed import ListedSpace
from tuneexp.sweep.search.space.space_parser import Dimension
from tuneexp.sweep.search.space.walk import InfeasiblePoint

if TYPE_CHECKING:
    from tuneexp.sweep.search.space.search_space import SearchSpace

MOST_POINTS = 10_000
STEPPED = ("int", "quniform")


def grid_of(space: SearchSpace, points_per_range: int | None = None) -> list[dict[str, Any]]:
    """Return all valid points as Optuna parameters. Inactive branches add none.

    Args:
        space: A validated space, not of a function.
        points_per_range: Values of each range, evenly spaced in its scale. None: ranges need a step.

    Returns:
        The points, in the order of the dimensions.

    Raises:
        UserError: A range without steps and without `points_per_range`, a function, or more than 10,000 points.
    """
    from optuna.trial import FixedTrial

    if isinstance(space, ListedSpace):
        return space.initial_params()
    if not space.dimensions:
        raise UserError("a function has no grid; write the sampler brute_force, or the space as a mapping")
    found = []
    for walk in every_combination(space, lambda one, values: listed(one.name, values, points_per_range)):
        params = walk.params
        try:
            space.suggest(FixedTrial(params))
        except InfeasiblePoint:
            continue
        found.append(params)
        if len(found) > MOST_POINTS:
            raise UserError(f"the grid has more than {MOST_POINTS} points; write fewer values, or the sampler random")
    return found


# (dimension, values that fit those chosen before) -> values to try
Options = Callable[[Dimension, Values], list[Any]]


def every_combination(space: SearchSpace, options: Options) -> Iterator[Walk]:
    """Yield all walks through a space, the last dimension first."""
    taken: list[int] | None = []
    while taken is not None:
        walk = Walk(taken, options)
        try:
            walk.values = space.walk(walk.pick)
            yield walk
        except InfeasiblePoint:
            pass
        taken = walk.following()


class Walk:
    """A walk that takes option `taken[depth]` of its dimension at `depth`, and the first one after that.

    Attributes:
        values: Flat values of the active dimensions.
        params: The same as Optuna records them.
    """

    def __init__(self, taken: list[int], options: Options) -> None:
        self.values: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self._taken, self._options = taken, options
        self._counts: list[int] = []

    def pick(self, dimension: Dimension, values: Values) -> Any:
        """Return the value of a dimension."""
        options = self._options(dimension, values)
        depth = len(self._counts)
        value = options[self._taken[depth] if depth < len(self._taken) else 0]
        self._counts.append(len(options))
        self.params |= values.recorded(dimension.name, value)
        return value

    def following(self) -> list[int] | None:
        """Return the options of the next walk; None after the last one."""
        return next_options(self._taken, self._counts)


def next_options(taken: list[int], counts: list[int]) -> list[int] | None:
    """Return the next combination of options, the last choice first; None after the last one.

    Args:
        taken: Options taken; the first one of each further choice.
        counts: Number of options of each choice.
    """
    now = (taken + [0] * len(counts))[: len(counts)]
    while now and now[-1] == counts[len(now) - 1] - 1:
        now.pop()
    return [*now[:-1], now[-1] + 1] if now else None


def listed(name: str, values: Values, points_per_range: int | None) -> list[Any]:
    """Return the values of a dimension. UserError for a range that needs `points_per_range`."""
    if not isinstance(values, Range):
        parts = ([*listed(name, o, points_per_range)] if isinstance(o, Range) else [o] for o in values.options)
        return [value for part in parts for value in part]
    if values.kind in STEPPED and (points_per_range is None or values.count() <= points_per_range):
        return values.listed()
    if points_per_range is None:
        raise UserError(
            f"{name}: grid can't list a continuous range; write a choice, quniform with a step, or the option "
            "points_per_range=5"
        )
    return _spaced(values, points_per_range)


def _spaced(values: Range, count: int) -> list[Any]:
    if values.low == values.high:
        return [values.low]
    if values.kind == "complement_loguniform":
        ends = complement(values.high), complement(values.low)
        return [complement(float(number)) for number in np.geomspace(*ends, count)[::-1]]
    space = np.geomspace if values.kind in LOG_KINDS else np.linspace
    numbers = [float(number) for number in space(values.low, values.high, count)]
    if values.step is not None:
        return list(dict.fromkeys(values.on_grid(number) for number in numbers))
    return list(dict.fromkeys(round(number) if values.is_int else number for number in numbers))
