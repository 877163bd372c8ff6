"""Initial points of a search space, as a user writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.config import without_suffixes
from tuneexp.errors import UserError, nearest
from tuneexp.files.yaml_reading import YamlError, parse_yaml
from tuneexp.nesting import slashed
from tuneexp.sweep.search.space.space_parser import Dimension

if TYPE_CHECKING:
    from tuneexp.sweep.search.space.search_space import SearchSpace


def initial_points(points: Any) -> list[Mapping[str, Any]]:
    if not isinstance(points, list | tuple) or not all(isinstance(point, Mapping) for point in points):
        raise UserError("initial points are a list of mappings, as in  [{gamma: 0.98}]")
    return [without_suffixes(point) for point in points]


def with_points(space: SearchSpace, points: Any) -> SearchSpace:
    """Return a space that has more initial points, which come first.

    Args:
        space: The search space.
        points: A list of mappings, or the path of a YAML file that holds it; None for no points.

    Raises:
        UserError: There is no such file, or a point is wrong.
    """
    if points is None:
        return space
    mapping = space.to_mapping()
    if "function" in mapping:
        raise UserError("a define-by-run space takes no points; write ranges and choices as a mapping or a YAML file")
    if "configurations" in mapping:
        raise UserError("a list of configurations takes no points; add them to the list")
    source = f"points {str(points)!r}: " if isinstance(points, str | Path) else ""
    try:
        listed = _read(Path(points)) if isinstance(points, str | Path) else points
        found = [dict(point) for point in initial_points(listed)]
        return type(space).from_mapping({**mapping, "initial": [*found, *mapping.get("initial", [])]})
    except UserError as error:
        raise UserError(f"{source}{error}".replace("initial point", "point")) from None


def _read(path: Path) -> Any:
    try:
        return parse_yaml(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't be read: {getattr(error, 'strerror', None) or error}") from None
    except YamlError as error:
        raise UserError(f"is no YAML: {error.problem}") from None


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
