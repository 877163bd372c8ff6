"""Dimensions of a search space: a range or a choice, and its form in Optuna.

Optuna records the values that ran under the same names, with two exceptions: `complement_loguniform` is recorded as
`1-NAME`, and an option that is a list or a mapping as its JSON text.
"""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tuneexp.config import is_number

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

FLOAT_KINDS = ("uniform", "loguniform", "complement_loguniform", "quniform")
INT_KINDS = ("int", "logint")
KINDS = (*FLOAT_KINDS, *INT_KINDS, "choice")
LOG_KINDS = ("loguniform", "logint")


def decimal(value: float) -> Decimal:
    """Return the decimal number of a float's shortest text: 0.1 is one tenth, not the nearest binary fraction."""
    return Decimal(repr(value))


def complement(value: float) -> float:
    """Return 1 - value without rounding errors: 1 - 0.9 is 0.1."""
    return float(1 - decimal(float(value)))


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; with `step`, only multiples of it above `low`."""

    kind: str
    low: float
    high: float
    step: float | None = None

    @property
    def is_int(self) -> bool:
        return self.kind in INT_KINDS

    def optuna_name(self, name: str) -> str:
        """Return the name in Optuna, which records the complement of a `complement_loguniform` range as `1-NAME`."""
        return f"1-{name}" if self.kind == "complement_loguniform" else name

    def suggest(self, name: str, trial: BaseTrial) -> float:
        key = self.optuna_name(name)
        if self.kind == "int":
            return trial.suggest_int(key, int(self.low), int(self.high), step=int(self.step or 1))
        if self.kind == "logint":
            return trial.suggest_int(key, int(self.low), int(self.high), log=True)
        if self.kind == "complement_loguniform":
            return complement(trial.suggest_float(key, complement(self.high), complement(self.low), log=True))
        if self.kind == "quniform":
            return self.on_grid(trial.suggest_float(key, self.low, self.high, step=self.step))
        return trial.suggest_float(key, self.low, self.high, log=self.kind == "loguniform")

    def recorded(self, name: str, value: Any) -> dict[str, Any]:
        """Return the Optuna parameters for which `suggest` returns `value`."""
        number = int(value) if self.is_int else float(value)
        return {self.optuna_name(name): complement(number) if self.kind == "complement_loguniform" else number}

    def on_grid(self, value: float, round_down: bool = False) -> float:
        """Return the nearest multiple of the step (or the one below), exactly: 0.3, not 0.30000000000000004."""
        if self.step is None:
            return value
        steps = (decimal(value) - decimal(self.low)) / decimal(self.step)
        whole = math.floor(steps + Decimal("1e-9")) if round_down else round(steps)
        exact = decimal(self.low) + whole * decimal(self.step)
        return int(exact) if self.is_int else float(exact)

    def contains(self, value: Any) -> bool:
        if not is_number(value) or not self.low <= value <= self.high or (self.is_int and value != int(value)):
            return False
        return self.step is None or math.isclose(self.on_grid(value), value, rel_tol=1e-9, abs_tol=1e-12)

    def narrowed(self, low: float, high: float) -> Range | None:
        """Return the part between `low` and `high`; None if it is empty."""
        low, high = max(self.low, low), min(self.high, high)
        if self.is_int:
            low, high = math.ceil(low), math.floor(high)
        if self.step is not None:
            start = self.on_grid(low, round_down=True)
            low = start if start >= low else self.on_grid(start + self.step)
            high = self.on_grid(high, round_down=True)
        return Range(self.kind, low, high, self.step) if low <= high else None

    def extent(self) -> tuple[float, float]:
        return self.low, self.high

    def probes(self) -> list[Any]:
        """Return values that a configuration must accept: both bounds, and one between, a fraction if possible."""
        if self.low == self.high:
            return [self.low]
        if self.step is not None:
            return [self.low, self.on_grid(self.low + self.step), self.high]
        return (
            [self.low, self.high] if self.is_int else [self.low, self.high, self.low + 0.618 * (self.high - self.low)]
        )

    def spell(self) -> dict[str, Any]:
        return {self.kind: [self.low, self.high, *([self.step] if self.step is not None else [])]}


@dataclass(frozen=True)
class Choice:
    """One of `options`: JSON values or ranges (`[null, {loguniform: [..]}]`)."""

    options: tuple[Any, ...]
    whole: bool = True  # False: a narrowed part of a choice

    def labels(self) -> list[Any]:
        """Return the category of each option in Optuna: a scalar itself, a list as JSON text, a range as its kind."""
        return [_label(option) for option in self.options]

    def optuna_name(self, name: str) -> str:
        # Optuna does not accept other categories under the same name, so a narrowed choice is another parameter.
        return name if self.whole else f"{name} in {json.dumps(self.labels())}"

    def suggest(self, name: str, trial: BaseTrial) -> Any:
        labels = self.labels()
        option = self.options[labels.index(trial.suggest_categorical(self.optuna_name(name), labels))]
        if isinstance(option, Range):
            return option.suggest(_branch(name, option), trial)
        return copy.deepcopy(option)

    def recorded(self, name: str, value: Any) -> dict[str, Any]:
        option = self._holder(value)
        branch = option.recorded(_branch(name, option), value) if isinstance(option, Range) else {}
        return {self.optuna_name(name): _label(option)} | branch

    def contains(self, value: Any) -> bool:
        return self._holder(value) is not _NOTHING

    def narrowed(self, low: float, high: float) -> Choice | None:
        """Return the options between `low` and `high`, and those that are no numbers; None if there are none."""
        kept = [part for option in self.options if (part := _narrowed_option(option, low, high)) is not _NOTHING]
        if not kept:
            return None
        return Choice(tuple(kept), whole=self.whole and len(kept) == len(self.options))

    def extent(self) -> tuple[float, float] | None:
        """Return the least and the greatest number; None if no option is a number."""
        numbers = [end for option in self.options for end in _ends(option)]
        return (min(numbers), max(numbers)) if numbers else None

    def probes(self) -> list[Any]:
        return [p for option in self.options for p in (option.probes() if isinstance(option, Range) else [option])]

    def spell(self) -> dict[str, Any]:
        return {"choice": [option.spell() if isinstance(option, Range) else option for option in self.options]}

    def _holder(self, value: Any) -> Any:
        for option in self.options:
            if option.contains(value) if isinstance(option, Range) else same(option, value):
                return option
        return _NOTHING


Values = Range | Choice
_NOTHING = object()


def same(left: Any, right: Any) -> bool:
    """Return True for equal JSON values: true is not 1, but 1 is 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _label(option: Any) -> Any:
    if isinstance(option, Range):
        return option.kind
    return json.dumps(option, sort_keys=True) if isinstance(option, list | dict) else option


def _branch(name: str, option: Range) -> str:
    return f"{name}:{option.kind}"


def _narrowed_option(option: Any, low: float, high: float) -> Any:
    if isinstance(option, Range):
        return option.narrowed(low, high) or _NOTHING
    return option if not is_number(option) or low <= option <= high else _NOTHING


def _ends(option: Any) -> tuple[float, ...]:
    if isinstance(option, Range):
        return option.extent()
    return (option,) if is_number(option) else ()
