"""Schedules of hyperparameters over training: constant or linear, as a number or a short text (never evaluated)."""

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
    """A hyperparameter as a function of training progress.

    Args:
        kind: "constant" or "linear".
        initial: Value at the start of training.
        final: Value at the end of the budget; for "linear" only.

    Raises:
        UserError: unknown kind, or a number that is not finite.
    """

    kind: ScheduleKind
    initial: float
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            raise UserError(f"unknown schedule kind {self.kind!r}; use 'constant' or 'linear'")
        if not (math.isfinite(self.initial) and math.isfinite(self.final)):
            raise UserError(f"a schedule needs finite numbers, got {self.initial!r} to {self.final!r}; {_HOW_TO_WRITE}")

    def value_at(self, progress: float) -> float:
        """Value at some progress.

        Args:
            progress: Fraction of the full budget that is done. Values outside of [0, 1] are clipped, as the last
                rollout may overshoot the budget.

        Returns:
            The value.
        """
        if self.kind == "constant":
            return self.initial
        done = min(max(progress, 0.0), 1.0)
        return self.initial + done * (self.final - self.initial)


def parse_schedule(value: float | str | Schedule) -> Schedule:
    """Parse a schedule.

    `0.001` and `"1e-3"` are constant. `"linear:0.001"` and `"lin_0.001"` of RL Zoo decay to 0 over the budget,
    `"linear:0.001:0.0001"` to 0.0001.

    Args:
        value: A number, a text or a `Schedule`.

    Returns:
        The schedule.

    Raises:
        UserError: `value` is none of these.
    """
    if isinstance(value, Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UserError(f"{value!r} is no schedule; {_HOW_TO_WRITE}")
    if isinstance(value, (int, float)):
        return Schedule("constant", float(value))
    return _parse_text(value)


def _parse_text(text: str) -> Schedule:
    # YAML 1.1 parses 1e-3 as a string, so a string that holds a number is a number.
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
    """Pydantic annotation of `float | str`: validates a schedule and keeps it as written, so that it remains JSON.

    The bounds apply to the initial value. They can't be given to `Field`, which would compare the text.

    Args:
        gt: The initial value must be greater than this.
        ge: The initial value must be greater than or equal to this.
        lt: The initial value must be less than this.
        le: The initial value must be less than or equal to this.
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
        """Validate a value.

        Args:
            value: A number, a text or a `Schedule`.

        Returns:
            The stored form: a float if it is constant, else the text.

        Raises:
            ValueError: not a schedule, or out of bounds (pydantic requires this type).
        """
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


PositiveScheduledFloat = Annotated[float | str, ScheduleBounds(gt=0.0)]
"""Field type: a number or schedule that starts above 0, such as a learning rate.

Other bounds: `Annotated[float | str, ScheduleBounds(ge=0, le=1)]`."""
