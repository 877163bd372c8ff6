"""Initial points of a search space, as a user writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneexp.config import without_suffixes
from tuneexp.errors import UserError, nearest
from tuneexp.nesting import slashed
from tuneexp.sweep.search.space.space_parser import Dimension


def initial_points(points: Any) -> list[Mapping[str, Any]]:
    if not isinstance(points, list | tuple) or not all(isinstance(point, Mapping) for point in points):
        raise UserError("initial takes a list of points, as in  initial: [{gamma: 0.98}]")
    return [without_suffixes(point) for point in points]


def flat_point(point: Mapping[str, Any], dimensions: Mapping[str, Dimension]) -> dict[str, Any]:
    """Return a point by flat names. A mapping that is an option of a choice is not flattened."""
    leaves: dict[str, Any] = {}
    for key, value in point.items():
        name = slashed(key)
        if isinstance(value, Mapping) and name not in dimensions:
            leaves |= flat_point({f"{name}/{inner}": v for inner, v in value.items()}, dimensions)
        else:
            leaves[name] = list(value) if isinstance(value, tuple) else value
    return leaves


def check_point(point: Mapping[str, Any], dimensions: Mapping[str, Dimension], number: int) -> None:
    for name, value in point.items():
        if name not in dimensions:
            match = nearest(name, dimensions)
            guess = f"did you mean {match!r}? If not, " if match else ""
            instead = f"{guess}write it as a constant of the space, or fix it with --set"
            raise UserError(f"initial point {number}: {name!r} is not varied; {instead}")
        values = dimensions[name].values
        if not values.contains(value):
            raise UserError(f"initial point {number}: {name}={value!r} is outside of {values.spell()}")
