"""Hyperparameters that change with training progress: a number, or a short text that is parsed and never evaluated."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from tuneexp.errors import UserError

ScheduleKind = Literal["constant", "linear"]

_TEXT = re.compile(r"(?P<kind>[A-Za-z]+)[:_](?P<initial>[^:_]+)(?::(?P<final>[^:_]+))?")
_NAMES: dict[str, ScheduleKind] = {"linear": "linear", "lin": "linear", "constant": "constant"}
_HOW_TO_WRITE = "write a number such as 0.001, 'linear:0.001' (to 0) or 'linear:0.001:0.0001' (first:last)"


@dataclass(frozen=True)
class Schedule:
    """A value over training. `progress` is the share of the full budget that is done, from 0 to 1."""

    kind: ScheduleKind
    initial: float
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            raise UserError(f"unknown schedule kind {self.kind!r}; use 'constant' or 'linear'")
        if not (math.isfinite(self.initial) and math.isfinite(self.final)):
            raise UserError(f"a schedule needs finite numbers, got {self.initial!r} to {self.final!r}; {_HOW_TO_WRITE}")

    def value_at(self, progress: float) -> float:
        """The value after `progress`; outside of [0, 1] (a rollout overshoots its budget) the nearer end holds."""
        if self.kind == "constant":
            return self.initial
        done = min(max(progress, 0.0), 1.0)
        return self.initial + done * (self.final - self.initial)


def parse_schedule(value: float | str | Schedule) -> Schedule:
    """`0.001` and `"1e-3"` are constant; `"linear:0.001"` and RL Zoo's `"lin_0.001"` fall to 0 over the budget.

    `"linear:0.001:0.0001"` ends at 0.0001. Raises `UserError` for anything else.
    """
    if isinstance(value, Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UserError(f"{value!r} is no schedule; {_HOW_TO_WRITE}")
    if isinstance(value, (int, float)):
        return Schedule("constant", float(value))
    return _parse_text(value)


def _parse_text(text: str) -> Schedule:
    # YAML 1.1 reads 1e-3 as a text, so a bare number in a text is a number.
    constant = _number(text)
    if constant is not None:
        return Schedule("constant", constant)
    match = _TEXT.fullmatch(text.strip())
    kind = _NAMES.get(match["kind"].lower()) if match else None
    initial = _number(match["initial"]) if match else None
    final = _number(match["final"]) if match and match["final"] is not None else 0.0
    if kind is None or initial is None or final is None or (kind == "constant" and match and match["final"]):
        raise UserError(f"{text!r} is no schedule; {_HOW_TO_WRITE}")
    return Schedule(kind, initial, final)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class ScheduleBounds:
    """Annotates `float | str`: validates a schedule and keeps it as written, so that it stays JSON.

    The bounds hold for the initial value. They may not be given to `Field` instead: pydantic would compare the text.
    """

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            self.check, core_schema.union_schema([core_schema.float_schema(), core_schema.str_schema()])
        )

    def check(self, value: Any) -> float | str:
        """The value as stored: a float where it is constant, else the text. Raises ValueError, as pydantic wants."""
        try:
            schedule = parse_schedule(value)
        except UserError as error:
            raise ValueError(str(error)) from None
        for holds, text in self._rules(schedule.initial):
            if not holds:
                raise ValueError(f"{'initial value' if schedule.kind == 'linear' else 'input'} should be {text}")
        if schedule.kind == "constant":
            return schedule.initial
        return value if isinstance(value, str) else f"linear:{schedule.initial!r}:{schedule.final!r}"

    def _rules(self, initial: float) -> list[tuple[bool, str]]:
        rules = []
        if self.gt is not None:
            rules.append((initial > self.gt, f"greater than {self.gt:g}"))
        if self.ge is not None:
            rules.append((initial >= self.ge, f"greater than or equal to {self.ge:g}"))
        if self.lt is not None:
            rules.append((initial < self.lt, f"less than {self.lt:g}"))
        if self.le is not None:
            rules.append((initial <= self.le, f"less than or equal to {self.le:g}"))
        return rules


ScheduledFloat = Annotated[float | str, ScheduleBounds(ge=0.0)]
"""Field type: a non-negative number or schedule. Other bounds: `Annotated[float | str, ScheduleBounds(gt=0, le=1)]`."""

PositiveScheduledFloat = Annotated[float | str, ScheduleBounds(gt=0.0)]
"""Field type: a number or schedule that starts above 0, such as a learning rate."""
