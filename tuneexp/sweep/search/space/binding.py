"""A search space against an algorithm's config: names and bounds, checked before any trial starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tuneexp.algorithms.rl_zoo import INSTEAD
from tuneexp.config import AtMost, Config
from tuneexp.errors import UserError, unknown_name
from tuneexp.nesting import flat_of_dotted, nested


@dataclass(frozen=True)
class Binding:
    """The config class of a space, and the fixed values as a flat mapping."""

    config_class: type[Config]
    fixed: Mapping[str, Any]
    owner: str

    @property
    def see(self) -> str:
        return f"tuneexp describe {self.owner}"

    @property
    def constraints(self) -> tuple[AtMost, ...]:
        return self.config_class.constraints

    def background(self) -> dict[str, Any]:
        """Flat defaults of the config, with the fixed values over them."""
        return written_over(_defaults(self.config_class), self.fixed)

    def check_names(self, names: Iterable[str]) -> None:
        """UserError for the first that is no hyperparameter, with the nearest that is one."""
        for name in names:
            if not _has_field(self.config_class, name.split("/")):
                if name in INSTEAD:
                    raise UserError(f"{self.owner}: {INSTEAD[name]}")
                raise unknown_name("hyperparameter", name, hyperparameter_names(self.config_class), self.see)

    def check_not_fixed(self, names: Iterable[str]) -> None:
        """UserError where one of `names`, which the space varies, is fixed, too."""
        for name in names:
            for fixed in self.fixed:
                if overlap(name, fixed):
                    part = "" if name == fixed else f"{name!r}, "
                    raise UserError(f"{fixed!r} is fixed, and {part}varied by the space; drop it from one of the two")

    def check_value(self, name: str, value: Any, advice: str = "") -> None:
        """UserError, with `advice`, where the config refuses `value` for `name`, whatever the other fields are."""
        path = tuple(name.split("/"))
        try:
            self.config_class.model_validate(nested({name: value}))
        except ValidationError as error:
            for problem in error.errors():
                # Rules between fields have a shorter location; they are for whole configurations.
                if tuple(map(str, problem["loc"][: len(path)])) == path:
                    message = problem["msg"].removeprefix("Value error, ")
                    raise UserError(
                        f"{self.owner}: {name}: {message[:1].lower()}{message[1:]}, got {value!r}{advice} ({self.see})"
                    ) from None

    def problem(self, values: Mapping[str, Any]) -> str | None:
        """Why the whole configuration of the fixed values and `values` (both flat) is refused, or None."""
        try:
            self.config_class.parse(nested({**self.fixed, **values}), self.owner, self.see)
        except UserError as error:
            return str(error)
        return None


def written_over(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Both flat. `changes` win: an own network, `model`, takes the place of everything in `model/...`."""
    return {name: value for name, value in values.items() if not any(overlap(name, n) for n in changes)} | {**changes}


def overlap(left: str, right: str) -> bool:
    """Return True where two names are one hyperparameter, or one is a part of the other."""
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
    """Of the leaves; a nested one is written with `/`."""
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
