"""Configurations: frozen, typed and closed.

A field is either *numeric*, a number that a loss sees as a 0-d tensor and that may change without
a new compilation, or *structural*, a Python value that shapes the program (sizes, switches, names).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, ClassVar, NamedTuple, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tuneexp.errors import SeveralErrors, UserError, shortened, unknown_name


def numeric(default: Any, description: str, **bounds: Any) -> Any:
    """Declare a hyperparameter that reaches `loss_fn` as a 0-d tensor: a new value needs no new compilation.

    Args:
        default: Default value.
        description: One line, shown by `tuneexp describe`.
        bounds: `gt`, `ge`, `lt`, `le`: limits of the value.

    Returns:
        A pydantic field.
    """
    return Field(default, description=description, json_schema_extra={"structural": False}, **bounds)


def structural(default: Any, description: str, **bounds: Any) -> Any:
    """Declare a hyperparameter that is a Python value of the compiled program: a size, a switch or a name.

    Args:
        default: Default value.
        description: One line, shown by `tuneexp describe`.
        bounds: `gt`, `ge`, `lt`, `le`: limits of the value.

    Returns:
        A pydantic field.
    """
    return Field(default, description=description, json_schema_extra={"structural": True}, **bounds)


def is_numeric(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("structural") is False


@dataclass(frozen=True)
class AtMost:
    """Constraint between top-level fields: `name` is at most the product of `factors`.

    A search space narrows its ranges to satisfy it. A fixed configuration that violates it is refused, unless
    `refused` is False: then the algorithm uses the product."""

    name: str
    factors: tuple[str, ...]
    refused: bool = True

    def problem(self, values: Mapping[str, Any]) -> str | None:
        """Return how `values` violate the constraint and what to write instead, or None. Only numbers are compared."""
        value: Any = values.get(self.name)
        factors: dict[str, Any] = {name: values.get(name) for name in self.factors}
        if not all(is_number(number) for number in (value, *factors.values())):
            return None
        limit = math.prod(factors.values())
        if value <= limit:
            return None
        shown = " * ".join(f"{name}={number}" for name, number in factors.items())
        total = f", that is {limit}" if len(factors) > 1 else ""
        instead = f"{self.name}={limit} or less" if limit > 1 else f"a larger {' or '.join(factors)}"
        return f"{self.name}={value} is more than {shown}{total}; write {instead}"


def constraints_of(config_class: type) -> tuple[AtMost, ...]:
    """Return the constraints between fields that a configuration class declares as its class variable `constraints`."""
    return tuple(getattr(config_class, "constraints", ()))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}
_COUNT = re.compile(r"([-+]?[0-9][0-9_]{0,20}(?:\.[0-9]{1,6})?(?:[eE][-+]?[0-9]{1,2})?)([kKmM]?)", re.ASCII)


def whole_number(text: str) -> int:
    """Parse `"100_000"`, `"1e5"`, `"100k"`, `"2.5M"` exactly. ValueError for other texts and for fractions."""
    match = _COUNT.fullmatch(text.strip())
    number = Decimal(match[1]) * _TIMES[match[2].lower()] if match else None
    if number is None or number != int(number):
        raise ValueError(f"{shortened(text)} is no whole number; write for example 100000, 1e5 or 100k")
    return int(number)


# A whole number; texts such as 100k are accepted.
Count = Annotated[int, BeforeValidator(lambda value: whole_number(value) if isinstance(value, str) else value)]


_UNITS_S = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?[dhms] ?)+", re.ASCII)


def seconds_of(text: str) -> float:
    """Parse a duration: `"2h"`, `"1h30m"`, `"90s"`, `"90"` (seconds). ValueError for other texts."""
    word = text.strip().lower()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", word, re.ASCII):
        return float(word)
    parts = re.findall(r"([0-9.]+)([dhms])", word) if _DURATION.fullmatch(word) else []
    if not parts or len({unit for _, unit in parts}) < len(parts):
        raise ValueError(f"{shortened(text)} is no duration; write for example 90s, 10m, 2h or 1h30m")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


# A duration in seconds; texts such as 2h and 1h30m are accepted. The names of such settings end with _s.
Seconds = Annotated[float, BeforeValidator(lambda value: seconds_of(value) if isinstance(value, str) else value)]


def without_suffixes(value: Any) -> Any:
    """Return `value` with numbers for texts such as 100k and 2.5M, also inside lists and mappings."""
    if isinstance(value, Mapping):
        return {key: without_suffixes(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(without_suffixes, value))
    if isinstance(value, str) and value[-1:] in "kKmM":
        with suppress(ValueError):
            return whole_number(value)
    return value


class Config(BaseModel):
    """Base of every configuration: immutable. Unknown keys are refused with the nearest valid name."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    # Name of a field that is a configuration whose fields are written as fields of this one.
    flattened: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _gather_flattened(cls, values: Any) -> Any:
        if not cls.flattened or not isinstance(values, dict) or cls.flattened in values:
            return values
        inner = fields_of(cls.model_fields[cls.flattened].annotation)
        own = {name: value for name, value in values.items() if name not in inner}
        return {**own, cls.flattened: {name: value for name, value in values.items() if name in inner}}

    @classmethod
    def flat_fields(cls) -> dict[str, FieldInfo]:
        """Return the declarations by name, with those of the flattened field in its place."""
        own = {name: field for name, field in cls.model_fields.items() if name != cls.flattened}
        return {**fields_of(cls.model_fields[cls.flattened].annotation), **own} if cls.flattened else own

    def flat(self, mode: str = "python") -> dict[str, Any]:
        """Return the values by the names of `flat_fields`."""
        values = self.model_dump(mode=mode)
        inner = values.pop(self.flattened) if self.flattened else {}
        return {**inner, **values}

    @model_validator(mode="after")
    def _keep_constraints(self) -> Self:
        for constraint in constraints_of(type(self)):
            if constraint.refused and (problem := constraint.problem(self.__dict__)):
                raise ValueError(problem)
        return self

    @classmethod
    def parse(cls, values: Mapping[str, Any], owner: str, see: str = "") -> Self:
        """Validate `values`.

        Args:
            values: Values by name.
            owner: Owner of the names for messages ("ppo", "the sweep").
            see: Command that lists the names, for messages.

        Returns:
            The configuration.

        Raises:
            UserError: A line for each wrong key with the accepted values.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"{owner}: write names with values, got {shortened(values)}{f' ({see})' if see else ''}")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise UserError(first_lines([one.text for one in _problems(cls, error, owner, see)])) from None

    @classmethod
    def problems(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Return the problems of `values`; `parse` raises them as one error."""
        try:
            cls.model_validate(dict(values))
        except ValidationError as error:
            return _problems(cls, error, "", "")
        except UserError as error:  # from a check of an address
            return [Problem((), str(error))]
        return []


class Problem(NamedTuple):
    """A problem in a configuration. path: names from the outermost group to the wrong key."""

    path: tuple[str, ...]
    text: str


def first_lines(lines: Sequence[str], most: int = 6) -> str:
    """Join up to `most` lines, with the number of those left out."""
    more = len(lines) - most
    return "\n".join([*lines[:most], *([f"and {more} more"] if more > 0 else [])])


def _problems(cls: type[BaseModel], error: ValidationError, owner: str, see: str) -> list[Problem]:
    """Return one problem per key. pydantic reports one for each branch of a union."""
    found: dict[tuple[tuple[str, ...] | str, int], Problem] = {}
    for details in error.errors():
        for index, part in enumerate(_parts(details)):
            problem = _problem(cls, part, owner, see)
            found.setdefault((problem.path or problem.text, index), problem)
    return list(found.values())


def _parts(details: ErrorDetails) -> list[ErrorDetails]:
    """Return one error for each problem of `SeveralErrors`."""
    raised = details.get("ctx", {}).get("error")
    return [{**details, "msg": text} for text in raised.problems] if isinstance(raised, SeveralErrors) else [details]


def fields_of(annotation: Any) -> dict[str, FieldInfo]:
    """Return the fields of a configuration class by name; none for another type."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return annotation.flat_fields()
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return dict(annotation.model_fields) if is_model else {}


def _problem(cls: type[BaseModel], problem: ErrorDetails, owner: str, see: str) -> Problem:
    path = [str(part) for part in problem["loc"]]
    if path and path[0] == getattr(cls, "flattened", ""):
        path = path[1:]
    if problem["type"] == "extra_forbidden":
        known = _fields_at(cls, path[:-1])
        key, prefix = "/".join(path), "/".join(path[:-1])
        names = [f"{prefix}/{name}" if prefix else name for name in known]
        kind, of = "hyperparameter" if see else "setting", f"of {owner}" if owner else ""
        return Problem(tuple(path), str(unknown_name(kind, key, names, see or of)))
    kept = _without_union_branches(cls, path)
    key = "/".join(kept)
    message = problem["msg"].removeprefix("Value error, ")
    got = problem.get("input")
    shown = f", got {shortened(got)}" if not isinstance(got, dict) and repr(got) not in message else ""
    if problem["type"] == "list_type" and isinstance(got, str):
        shown += f"; write [{got!r}]"
    if got == "None" and _accepts_none(cls, kept):
        shown += "; write null"
    where = "".join(f"{part}: " for part in (owner, key) if part)
    return Problem(tuple(kept), f"{where}{message[:1].lower()}{message[1:]}{shown}{f' ({see})' if see else ''}")


def _accepts_none(cls: type[BaseModel], path: list[str]) -> bool:
    fields = _fields_at(cls, path[:-1])
    return bool(path) and path[-1] in fields and type(None) in get_args(fields[path[-1]].annotation)


def _without_union_branches(cls: type[BaseModel], path: list[str]) -> list[str]:
    """Return the path without the failing branch of a union ('float'), which pydantic appends."""
    kept: list[str] = []
    fields: Mapping[str, FieldInfo] = fields_of(cls)
    for part in path:
        if part not in fields and not part.isdigit():
            break
        kept.append(part)
        fields = _fields_within(fields, part)
    return kept or path


def _fields_within(fields: Mapping[str, FieldInfo], name: str) -> Mapping[str, FieldInfo]:
    """Return the fields of a configuration class that a field is of, alone or in a union."""
    annotation = fields[name].annotation if name in fields else None
    either = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((found for one in either if (found := fields_of(one))), {})


def _fields_at(cls: type[BaseModel], path: list[str]) -> Mapping[str, FieldInfo]:
    fields: Mapping[str, FieldInfo] = fields_of(cls)
    for part in path:
        fields = _fields_within(fields, part)
    return fields
