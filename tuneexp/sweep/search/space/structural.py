"""Combinations of the structural values of a search space. Numeric hyperparameters shape no program."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic.fields import FieldInfo

from tuneexp.config import is_numeric
from tuneexp.sweep.search.space.dimensions import Choice, Range, Values
from tuneexp.sweep.search.space.grid import every_combination
from tuneexp.sweep.search.space.space_parser import Dimension

if TYPE_CHECKING:
    from tuneexp.config import Config
    from tuneexp.sweep.search.space.search_space import SearchSpace

# Fields that no program has, but by which a minibatch has its size.
_OF_MINIBATCHES = frozenset({"n_steps", "batch_size", "sequence_length"})


class StructuralValues:
    """Structural values that vary in a validated space.

    Args:
        space: The space; not one of a function.
        config_class: Configuration class of its algorithm.

    Attributes:
        endless: Names with a range of fractions: nearly each trial has a program of its own.
    """

    def __init__(self, space: SearchSpace, config_class: type[Config]) -> None:
        self._space = space
        self._names = [name for name, one in space.dimensions.items() if _is_structural(config_class, one)]
        self.endless = [name for name in self._names if _count(space.dimensions[name].values) == math.inf]
        self._conditions: dict[str, list[Any]] = {}
        for dimension in space.dimensions.values():
            for name, allowed in dimension.when.items():
                self._conditions.setdefault(name, []).extend(allowed)

    def most(self) -> float:
        """Return the number of combinations, as if each were valid."""
        return math.prod(_count(self._space.dimensions[name].values) for name in self._names)

    def configurations(self, most: int) -> Iterator[Any]:
        """Yield the configurations, at most so many. Other hyperparameters have one value."""
        walks = every_combination(self._space, self._options)
        return self._space.configurations(walk.values for walk in islice(walks, most))

    def _options(self, dimension: Dimension, values: Values) -> list[Any]:
        if dimension.name in self._names:
            return list(_listed(values))
        told = [value for value in self._conditions.get(dimension.name, ()) if values.contains(value)]
        return told + [value for value in values.probes()[:1] if value not in told]


def movable(space: SearchSpace, config_class: type[Config]) -> tuple[dict[str, Values], dict[str, str]]:
    """Divide the searched hyperparameters by what may change while a trial trains.

    Args:
        space: The space.
        config_class: Configuration class of its algorithm.

    Returns:
        Name -> dimension of those that may change: numbers. Name -> reason of the others.
    """
    conditions = {name for dimension in space.dimensions.values() for name in dimension.when}
    moving: dict[str, Values] = {}
    fixed: dict[str, str] = {}
    for name, dimension in space.dimensions.items():
        if name in conditions:
            fixed[name] = "others are searched for some of its values only"
        elif not _is_number(config_class, dimension):
            fixed[name] = "it shapes the program, so it can't change while a trial trains"
        else:
            moving[name] = dimension.values
    return moving, fixed


def _is_number(config_class: type[Config], dimension: Dimension) -> bool:
    """Return True for a number that no program depends on."""
    first, _, rest = dimension.name.partition("/")
    field = config_class.model_fields.get(first)
    group: Any = None if field is None else field.annotation
    if rest:  # of a policy
        of_policy = hasattr(group, "outside_of_programs")
        return of_policy and _is_number(group, Dimension(rest, dimension.values))
    return field is not None and is_numeric(field) and not _is_structural(config_class, dimension)


def _is_structural(config_class: type[Config], dimension: Dimension) -> bool:
    """Return True if another value may need another program."""
    first, _, rest = dimension.name.partition("/")
    fields: Mapping[str, FieldInfo] = config_class.model_fields
    group: Any = fields[first].annotation if first in fields else None
    if rest and hasattr(group, "outside_of_programs"):  # of a policy
        return _is_structural(group, Dimension(rest, dimension.values))
    field = fields.get(first)
    if field is not None and is_numeric(field):
        return isinstance(dimension.values, Choice) and None in dimension.values.options
    outside: frozenset[str] = getattr(config_class, "outside_of_programs", frozenset())
    return field is not None and first not in outside - _OF_MINIBATCHES


def _listed(values: Values) -> Iterator[Any]:
    if isinstance(values, Range):
        yield from values.listed()
        return
    for option in values.options:
        yield from _listed(option) if isinstance(option, Range) else [option]


def _count(values: Values) -> float:
    if isinstance(values, Range):
        return values.count()
    return sum(option.count() if isinstance(option, Range) else 1 for option in values.options)
