"""Hyperparameters of a configuration class as data and as a table, for `tuneexp describe`."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.table import Table

from tuneexp.config import is_numeric
from tuneexp.report.formatting import cell, number

_BOUNDS = (("ge", "lower", ">="), ("gt", "lower", ">"), ("le", "upper", "<="), ("lt", "upper", "<"))


def hyperparameter_rows(
    config_class: type[BaseModel], prefix: str = "", defaults: BaseModel | None = None
) -> list[dict[str, Any]]:
    """One row per field: `name` (nested with `/`), `default`, `range`, `kind` (numeric or structural), `meaning`.

    Args:
        config_class: The configuration's class.
        prefix: Name of the group that it belongs to.
        defaults: Configuration with the defaults, if they differ from those of the class."""
    rows: list[dict[str, Any]] = []
    for name, field in config_class.model_fields.items():
        path = f"{prefix}/{name}" if prefix else name
        default = field.get_default(call_default_factory=True) if defaults is None else getattr(defaults, name)
        nested = _model_in(field.annotation)
        group = default if isinstance(default, BaseModel) else None
        rows += hyperparameter_rows(nested, path, group) if nested else [_row(path, field, default)]
    return rows


def _row(name: str, field: FieldInfo, default: Any) -> dict[str, Any]:
    return {
        "name": name,
        "default": _plain(default),
        "range": value_range(field),
        "kind": "numeric" if is_numeric(field) else "structural",
        "meaning": field.description or "",
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value


def value_range(field: FieldInfo) -> str:
    """Accepted values of a field: `number > 0`, `one of tanh, relu`, `true or false`, `integer >= 1, or null`."""
    annotation, metadata = _unwrapped(field.annotation)
    options = [part for part in _members(annotation) if part is not type(None)]
    nullable = len(options) < len(_members(annotation))
    bounds = _interval([*metadata, *field.metadata, *(extra for option in options for extra in _unwrapped(option)[1])])
    text = _words_of(annotation) if len(options) > 1 else _words_of(options[0])
    text = f"{text} {bounds}" if bounds else text
    return f"{text}, or null" if nullable else text


def _members(annotation: Any) -> Sequence[Any]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return inner, metadata
    return annotation, []


def _words_of(annotation: Any) -> str:
    annotation, _ = _unwrapped(annotation)
    options = [part for part in _members(annotation) if part is not type(None)]
    if set(options) == {float, str}:
        return "number or schedule"  # the only texts that stand for numbers here (tuneexp.rl.schedules)
    if len(options) > 1:
        return " or ".join(_words_of(option) for option in options)
    origin = get_origin(annotation)
    if origin is Literal:
        return "one of " + ", ".join(map(str, get_args(annotation)))
    if origin is tuple and Ellipsis not in get_args(annotation):
        return f"[{', '.join(_entry(part) for part in get_args(annotation))}]"
    if origin in (list, tuple):
        inner = next((part for part in get_args(annotation) if part is not Ellipsis), None)
        return f"list of {_words_of(inner)}s" if inner else "list"
    if origin is dict:
        return "mapping"
    names = {bool: "true or false", int: "integer", float: "number", str: "text"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _entry(annotation: Any) -> str:
    """Words of an entry of a tuple; a single literal is quoted, as it is typed."""
    options = get_args(annotation) if get_origin(annotation) is Literal else ()
    return f'"{options[0]}"' if len(options) == 1 else _words_of(annotation)


def _interval(metadata: Sequence[Any]) -> str:
    found = {}
    for item in metadata:
        for attribute, side, sign in _BOUNDS:
            bound = getattr(item, attribute, None)
            if bound is not None:
                found[side] = (sign, bound)
    return ", ".join(
        f"{sign} {number(bound)}" for sign, bound in (found[side] for side in ("lower", "upper") if side in found)
    )


def _model_in(annotation: Any) -> type[BaseModel] | None:
    return next(_models(annotation), None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for member in _members(_unwrapped(annotation)[0]):
        if isinstance(member, type) and issubclass(member, BaseModel):
            yield member


def hyperparameter_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Table of `rows`, with values spelled as `--set` takes them: null, true and false for Python's None and bools."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("hyperparameter", no_wrap=True, style="cyan")
    table.add_column("default", overflow="fold")
    table.add_column("accepts", overflow="fold")
    table.add_column("meaning", overflow="fold", ratio=1)
    for row in rows:
        meaning = re.sub(r"\bNone\b", "null", row["meaning"])
        table.add_row(*map(cell, (row["name"], as_typed(row["default"]), row["range"], meaning)))
    return table


def as_typed(value: Any) -> str:
    """Return a value as the command line takes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else number(value)
