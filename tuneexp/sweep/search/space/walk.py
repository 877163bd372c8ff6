"""One pass over a search space: order of the dimensions, active branches, and ranges narrowed by constraints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuneexp.config import AtMost, is_number
from tuneexp.errors import TuneexpError, UserError
from tuneexp.sweep.search.space.dimensions import Values
from tuneexp.sweep.search.space.space_parser import Dimension, is_one_of

Extents = dict[str, tuple[float, float]]


class InfeasiblePoint(TuneexpError):
    """A suggestion that the configuration refuses, and that no declared constraint could avoid.

    Its state in Optuna is FAIL, and another suggestion is drawn: the recorded values must be those that run."""


def check_conditions(dimensions: Mapping[str, Dimension]) -> None:
    """Raise UserError if a `when` needs a value that its dimension can't have."""
    for dimension in dimensions.values():
        for name, allowed in dimension.when.items():
            for value in allowed:
                if name in dimensions and not dimensions[name].values.contains(value):
                    spelled = dimensions[name].values.spell()
                    raise UserError(f"{dimension.name}: when {name} is {value!r} never holds; {name} is {spelled}")


def ordered(dimensions: Mapping[str, Dimension], constraints: Iterable[AtMost]) -> list[Dimension]:
    """Return the dimensions in topological order of their conditions and constraints. UserError for a cycle."""
    needs = {name: set(dimension.when) & set(dimensions) for name, dimension in dimensions.items()}
    for constraint in constraints:
        if constraint.name in needs:
            needs[constraint.name] |= set(constraint.factors) & set(dimensions)
    order: list[Dimension] = []
    placed: set[str] = set()
    while len(order) < len(dimensions):
        ready = next((name for name in dimensions if name not in placed and needs[name] <= placed), None)
        if ready is None:
            circle = ", ".join(name for name in dimensions if name not in placed)
            raise UserError(f"{circle} depend on each other in a cycle; remove one `when`")
        placed.add(ready)
        order.append(dimensions[ready])
    return order


def walk(
    order: Sequence[Dimension],
    background: Mapping[str, Any],
    constraints: Sequence[AtMost],
    pick: Callable[[Dimension, Values], Any],
) -> dict[str, Any]:
    """Return flat values of the active dimensions, each from `pick(dimension, narrowed values)`.

    background: flat values of all hyperparameters without the space."""
    chosen: dict[str, Any] = {}
    names = {dimension.name for dimension in order}
    known = {name: value for name, value in background.items() if name not in names}
    extents = extents_of(order, background)
    for dimension in order:
        if is_active(dimension, chosen, known):
            values = narrowed(dimension, constraints, extents)
            if values is None:
                raise InfeasiblePoint(f"no value of {dimension.name} satisfies {_spell(constraints)} after {chosen}")
            chosen[dimension.name] = pick(dimension, values)
        value: Any = chosen.get(dimension.name, background.get(dimension.name))
        if is_number(value):
            extents[dimension.name] = (value, value)
    return chosen


def is_active(dimension: Dimension, chosen: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Return True if the conditions of a dimension hold. A condition on an inactive dimension does not hold."""
    visible = {**known, **chosen}
    return all(name in visible and is_one_of(visible[name], allowed) for name, allowed in dimension.when.items())


def active_part(order: Sequence[Dimension], known: Mapping[str, Any], move: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `move` whose dimensions are active.

    Conditions on searched dimensions outside of `move` count as satisfied. known: as in `is_active`."""
    searched = {dimension.name for dimension in order}
    kept: dict[str, Any] = {}
    for dimension in order:
        told = {name: allowed for name, allowed in dimension.when.items() if name in move or name not in searched}
        if dimension.name in move and is_active(replace(dimension, when=told), kept, known):
            kept[dimension.name] = move[dimension.name]
    return kept


def extents_of(dimensions: Iterable[Dimension], background: Mapping[str, Any]) -> Extents:
    """Return the least and greatest number of each name, before any value is chosen."""
    extents: Extents = {name: (value, value) for name, value in background.items() if is_number(value)}
    for dimension in dimensions:
        default = extents.pop(dimension.name, None)
        extent = dimension.values.extent()
        if extent is not None:
            ends = [*extent, *(default if default and dimension.when else ())]
            extents[dimension.name] = (min(ends), max(ends))
    return extents


def narrowed(dimension: Dimension, constraints: Iterable[AtMost], extents: Extents) -> Values | None:
    """Return the values for which every constraint is satisfiable; None if there are none."""
    values: Values | None = dimension.values
    for constraint in constraints:
        factors = [factor for factor in constraint.factors if factor != dimension.name]
        if values is None or not all(name in extents for name in (constraint.name, *factors)):
            continue
        greatest = math.prod(extents[factor][1] for factor in factors)
        if dimension.name == constraint.name:
            values = values.narrowed(-math.inf, greatest)
        elif dimension.name in constraint.factors and greatest > 0:
            values = values.narrowed(extents[constraint.name][0] / greatest, math.inf)
    return values


def offered(
    dimensions: Sequence[Dimension], background: Mapping[str, Any], constraints: Sequence[AtMost]
) -> dict[str, Values]:
    """Return name -> the values that a trial can have before any value is chosen."""
    extents = extents_of(dimensions, background)
    return {one.name: narrowed(one, constraints, extents) or one.values for one in dimensions}


def narrowable(
    dimensions: Sequence[Dimension], background: Mapping[str, Any], constraints: Iterable[AtMost]
) -> list[str]:
    """Return the dimensions that share a constraint which some combinations violate."""
    extents, names = extents_of(dimensions, background), [dimension.name for dimension in dimensions]
    found: set[str] = set()
    for constraint in constraints:
        shared = {constraint.name, *constraint.factors} & set(names)
        if len(shared) < 2 or not {constraint.name, *constraint.factors} <= extents.keys():
            continue
        if extents[constraint.name][1] > math.prod(extents[factor][0] for factor in constraint.factors):
            found |= shared
    return [name for name in names if name in found]


def check_constraints(
    dimensions: Iterable[Dimension], background: Mapping[str, Any], constraints: Iterable[AtMost]
) -> None:
    """Raise UserError if no suggestion could satisfy a constraint."""
    dimensions = list(dimensions)
    extents, varied = extents_of(dimensions, background), {dimension.name for dimension in dimensions}
    for constraint in constraints:
        names = {constraint.name, *constraint.factors}
        if not names <= extents.keys() or not (constraint.refused or names & varied):
            continue
        best = {constraint.name: extents[constraint.name][0]} | {name: extents[name][1] for name in constraint.factors}
        if problem := constraint.problem(best):
            raise UserError(f"{problem} (no combination in the space fits)")


def _spell(constraints: Sequence[AtMost]) -> str:
    return ", ".join(f"{constraint.name} <= {' * '.join(constraint.factors)}" for constraint in constraints)
