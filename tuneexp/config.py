"""Configurations: frozen, typed and closed.

A field is either *numeric*, a number that a loss sees as a 0-d tensor and that may change without
a new compilation, or *structural*, a Python value that shapes the program (sizes, switches, names).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from tuneexp.errors import UserError, unknown_name


def numeric(default: Any, description: str, **bounds: Any) -> Any:
    """A hyperparameter that reaches `loss_fn` as a 0-d tensor. `bounds`: gt, ge, lt, le."""
    return Field(default, description=description, json_schema_extra={"structural": False}, **bounds)


def structural(default: Any, description: str, **bounds: Any) -> Any:
    """A hyperparameter that stays a Python value: a size, a switch or a name."""
    return Field(default, description=description, json_schema_extra={"structural": True}, **bounds)


def is_numeric(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("structural") is False


class Config(BaseModel):
    """Base of every configuration: immutable, unknown keys refused with the nearest valid name."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any], owner: str, see: str = "") -> Self:
        """Validate `values`; raises `UserError` of one line that names the key and what it accepts.

        `owner` is what the keys belong to, for the message ("ppo", "the sweep")."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _one_line(cls, error, owner, see) from None


def _one_line(cls: type[BaseModel], error: ValidationError, owner: str, see: str) -> UserError:
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    key = "/".join(_without_union_branches(cls, path))
    if problem["type"] == "extra_forbidden":
        known = _fields_at(cls, path[:-1])
        prefix = "/".join(path[:-1])
        return unknown_name("hyperparameter" if see else "setting", key, [f"{prefix}/{k}" if prefix else k for k in known],
                            see or f"of {owner}")
    message = problem["msg"].removeprefix("Value error, ")
    got = problem.get("input")
    shown = f", got {got!r}" if not isinstance(got, dict) and repr(got) not in message else ""
    where = f"{owner}: {key}: " if key else f"{owner}: "
    return UserError(f"{where}{message[:1].lower()}{message[1:]}{shown}{f' ({see})' if see else ''}")


def _without_union_branches(cls: type[BaseModel], path: list[str]) -> list[str]:
    """pydantic appends the failing branch of a union ('float') to the location: drop it."""
    kept: list[str] = []
    fields: Mapping[str, FieldInfo] = cls.model_fields
    for part in path:
        if part not in fields and not part.isdigit():
            break
        kept.append(part)
        annotation = fields[part].annotation if part in fields else None
        fields = annotation.model_fields if isinstance(annotation, type) and issubclass(annotation, BaseModel) else {}
    return kept or path


def _fields_at(cls: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        annotation = cls.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        cls = annotation
    return list(cls.model_fields)
