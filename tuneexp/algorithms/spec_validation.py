"""Validation of an algorithm's specification at its definition."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from pydantic.fields import FieldInfo

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.errors import UserError, nearest
from tuneexp.learning.target import TargetUpdate
from tuneexp.learning.user_functions import CALLED, called_as, name_of
from tuneexp.spaces.kinds import ActionKind

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import AlgorithmSpec


def check_spec(spec: AlgorithmSpec) -> None:
    """Validate a specification.

    Args:
        spec: The specification.

    Raises:
        UserError: a function has another signature, or a field another type; one or two lines.
    """
    name = spec.name
    for role in CALLED:
        _check_function(name, role, getattr(spec, role))
    _check_config(name, spec.config_class)
    kinds = get_args(ActionKind)
    for kind in spec.action_kinds:
        if kind not in kinds:
            match = nearest(kind, kinds)
            advice = f"did you mean {match!r}?" if match else f"known: {', '.join(kinds)}"
            raise UserError(f"{name}: unknown action kind {kind!r}; {advice}")
    named: dict[str, Any] = {f"update_period[{part!r}]": every for part, every in spec.update_period.items()}
    if isinstance(spec.target, TargetUpdate):
        named |= {"target's tau": spec.target.tau, "target's every": spec.target.every}
    for where, value in named.items():
        if isinstance(value, str) and value not in spec.config_class.model_fields:
            match = nearest(value, spec.config_class.model_fields)
            advice = f"did you mean {match!r}?" if match else "add the field, or write a number"
            raise UserError(f"{name}: {where} is {value!r}, no field of {spec.config_class.__name__}; {advice}")


def _check_function(name: str, role: str, function: Callable[..., Any]) -> None:
    if not callable(function):
        raise UserError(f"{name}: {role} is {function!r}; write a function {called_as(role)}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: it fails when it is called
        return
    arguments = CALLED[role][0].split(", ")
    try:
        signature.bind(*arguments)
    except TypeError:
        raise UserError(
            f"{name}: {role} {name_of(function)}{signature} can't be called with {len(arguments)} arguments\n"
            f"write {called_as(role)}"
        ) from None


def _check_config(name: str, config_class: Any) -> None:
    if not (isinstance(config_class, type) and issubclass(config_class, AlgorithmConfig)):
        shown = getattr(config_class, "__name__", repr(config_class))
        raise UserError(f"{name}: config_class {shown} is no AlgorithmConfig; derive it from one, as PPOConfig is")
    for key, field in config_class.model_fields.items():
        if field.is_required():
            raise UserError(f"{name}: the hyperparameter {key!r} has no default\n{_declared(key, field)}")
        extra = field.json_schema_extra
        if not isinstance(extra, dict) or "structural" not in extra:
            # A plain default would be a constant of the program: every new value would be compiled anew.
            raise UserError(
                f"{name}: the hyperparameter {key!r} is neither numeric nor structural\n{_declared(key, field)}"
            )


def _declared(key: str, field: FieldInfo) -> str:
    """Source text of the declaration of a field, for error messages."""
    number = field.annotation in (int, float, float | None)
    default = "0.5" if number else "VALUE"
    if not field.is_required():
        default = repr(field.get_default(call_default_factory=True))
    as_written = field.annotation.__name__ if isinstance(field.annotation, type) else str(field.annotation)
    declared = f"write {key}: {as_written.replace('typing.', '')}"
    if number:
        return f'{declared} = numeric({default}, "What it does."), or structural(...) for a size'
    return f'{declared} = structural({default}, "What it does.")'
