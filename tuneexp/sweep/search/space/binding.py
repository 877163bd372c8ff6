"""Checks of a search space against an algorithm's configuration class: names, bounds and constraints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tuneexp.algorithms.rl_zoo import INSTEAD
from tuneexp.config import AtMost, Config, constraints_of
from tuneexp.errors import UserError, unknown_name
from tuneexp.nesting import flat_of_dotted, nested


@dataclass(frozen=True)
class Binding:
    """Configuration class of a space, and the fixed values as a flat mapping."""

    config_class: type[Config]
    fixed: Mapping[str, Any]
    owner: str

    @property
    def see(self) -> str:
        return f"tuneexp describe {self.owner}"

    @property
    def constraints(self) -> tuple[AtMost, ...]:
        return constraints_of(self.config_class)

    def background(self) -> dict[str, Any]:
        """Return the flat defaults of the configuration, overridden by the fixed values."""
        return written_over(_defaults(self.config_class), self.fixed)

    def check_names(self, names: Iterable[str]) -> None:
        """Raise UserError for the first unknown hyperparameter, with the nearest name."""
        for name in names:
            if not _has_field(self.config_class, name.split("/")):
                if name in INSTEAD:
                    raise UserError(f"{self.owner}: {INSTEAD[name]}")
                raise unknown_name("hyperparameter", name, hyperparameter_names(self.config_class), self.see)

    def check_not_fixed(self, names: Iterable[str]) -> None:
        """Raise UserError if one of the varied `names` is also fixed."""
        for name in names:
            for fixed in self.fixed:
                if overlap(name, fixed):
                    part = "" if name == fixed else f"{name!r}, "
                    raise UserError(f"{fixed!r} is fixed, and {part}varied by the space; remove one of the two")

    def check_value(self, name: str, value: Any, advice: str = "") -> None:
        """Raise UserError, with `advice`, if `value` is invalid for `name` for any values of the other fields."""
        path = tuple(name.split("/"))
        try:
            self.config_class.model_validate(nested({name: value}))
        except ValidationError as error:
            for problem in error.errors():
                # Constraints between fields have a shorter location; they apply to whole configurations.
                if tuple(map(str, problem["loc"][: len(path)])) == path:
                    message = problem["msg"].removeprefix("Value error, ")
                    raise UserError(
                        f"{self.owner}: {name}: {message[:1].lower()}{message[1:]}, got {value!r}{advice} ({self.see})"
                    ) from None

    def problem(self, values: Mapping[str, Any]) -> str | None:
        """Return the problem of the configuration of the fixed values and `values` (both flat), or None."""
        try:
            self.config_class.parse(nested({**self.fixed, **values}), self.owner, self.see)
        except UserError as error:
            return str(error)
        return None


def written_over(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat `values` overridden by `changes`. A value for a group, such as `model`, replaces `model/...`."""
    return {name: value for name, value in values.items() if not any(overlap(name, n) for n in changes)} | {**changes}


def overlap(left: str, right: str) -> bool:
    """Return True if two names are the same hyperparameter, or one is a part of the other."""
    return left == right or left.startswith(f"{right}/") or right.startswith(f"{left}/")


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _has_field(config_class: type[BaseModel], path: list[str]) -> bool:
    field = config_class.model_fields.get(path[0])
    if field is None:
        return False
    if len(path) == 1:
        return True
    model = _model_of(field)
    return _has_field(model, path[1:]) if model else field.annotation is dict or "dict[" in str(field.annotation)


def hyperparameter_names(config_class: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the flat names of all hyperparameters, such as `model/activation`."""
    names = []
    for key, field in config_class.model_fields.items():
        model = _model_of(field)
        names += hyperparameter_names(model, f"{prefix}{key}/") if model else [f"{prefix}{key}"]
    return names


def _defaults(config_class: type[BaseModel]) -> dict[str, Any]:
    plain = {
        name: default.model_dump() if isinstance(default, BaseModel) else default
        for name, field in config_class.model_fields.items()
        if not field.is_required()
        for default in [field.get_default(call_default_factory=True)]
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in flat_of_dotted(plain).items()}
