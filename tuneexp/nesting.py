"""Nested mappings and flat names: `{"model": {"activation": "relu"}}` is `{"model/activation": "relu"}`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tuneexp.errors import UserError

ABSENT: Any = object()
"""Marker of a name without a value."""


def leaves(values: Mapping[str, Any], skip: Collection[str] = (), prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (flat name, value) of each leaf. An empty mapping is a leaf.

    Args:
        values: nested mappings.
        skip: flat names of values and groups to leave out.
        prefix: put before each name.
    """
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name in skip:
            continue
        if isinstance(value, Mapping) and value:
            yield from leaves(value, skip, f"{name}/")
        else:
            yield name, value


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the leaves by their flat names."""
    return dict(leaves(values))


def flat_of_dotted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the leaves by their flat names; a dot in a key is nesting, too."""
    return {slashed(name): value for name, value in leaves(values)}


def slashed(name: object) -> str:
    """Return the flat name of `model.activation`, `model/activation`."""
    return str(name).replace(".", "/")


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested form of values by flat names, the inverse of `flat`.

    Raises:
        UserError: a name is both a value and a group.
    """
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, last = name.split("/")
        group = tree
        for key in groups:
            group = group.setdefault(key, {})
            if not isinstance(group, dict):
                raise UserError(
                    f"{'/'.join(groups)!r} is given a value and also the nested key {name!r}; keep one of them"
                )
        if last in group:
            raise UserError(f"{name!r} is given a value and also nested keys; keep one of them")
        group[last] = value
    return tree


def value_at(values: Mapping[str, Any], name: str) -> Any:
    """Return the value of a flat name in nested mappings, `ABSENT` where there is none."""
    value: Any = values
    for key in name.split("/"):
        if not isinstance(value, Mapping) or key not in value:
            return ABSENT
        value = value[key]
    return value


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with `changes` over them. Groups that both have are merged."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result
