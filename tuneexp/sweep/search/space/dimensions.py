"""Dimensions of a search space: a range or a choice, and its form in Optuna.

Optuna records the values that ran under the same names, with two exceptions: `complement_loguniform` is recorded as
`1-NAME`, and an option that is a list or a mapping as its JSON text.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
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

    def suggest(self, name: str, trial: BaseTrial, allowed: Any = None) -> float:
        """Suggest a number from the whole range; one outside of `allowed` becomes the nearest in it.

        The sampler always sees the same range, which it can model, and the trial records the number that is used."""
        value = self._suggested(name, trial)
        if allowed is None or allowed.contains(value):
            return value
        value = allowed.nearest(value)
        record(trial, self.recorded(name, value))
        return value

    def _suggested(self, name: str, trial: BaseTrial) -> float:
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

    def nearest(self, value: float) -> float:
        """Return the number of the range that is nearest to one outside of it: a bound."""
        return self.low if value < self.low else self.high if value > self.high else self.on_grid(value)

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

    def count(self) -> float:
        """Return the number of its values; infinite for fractions without a step."""
        if self.low == self.high:
            return 1
        step = self.step or (1 if self.is_int else None)
        return math.inf if step is None else round((self.high - self.low) / step) + 1

    def listed(self) -> list[Any]:
        """Return all of its values. Their number must be finite."""
        return [self.on_grid(self.low + index * (self.step or 1)) for index in range(int(self.count()))]

    def spell(self) -> dict[str, Any]:
        return {self.kind: [self.low, self.high, *([self.step] if self.step is not None else [])]}


@dataclass(frozen=True)
class Choice:
    """One of `options`: JSON values or ranges (`[null, {loguniform: [..]}]`)."""

    options: tuple[Any, ...]

    def labels(self) -> list[Any]:
        """Return the category of each option in Optuna: a scalar itself, a list as JSON text, a range as its kind."""
        return [_label(option) for option in self.options]

    def suggest(self, name: str, trial: BaseTrial, allowed: Any = None) -> Any:
        """Suggest one of all options; one that is not in `allowed` becomes the nearest in it, as for a range."""
        labels, kept = self.labels(), allowed or self
        label = trial.suggest_categorical(name, labels)
        if label not in kept.labels():
            label = kept.label_nearest_to(self.options[labels.index(label)])
            record(trial, {name: label})
        option = self.options[labels.index(label)]
        if isinstance(option, Range):
            return option.suggest(_branch(name, option), trial, kept.options[kept.labels().index(label)])
        return copy.deepcopy(option)

    def label_nearest_to(self, option: Any) -> Any:
        """Return the label of the option with the numbers nearest to those of `option`; the first without numbers."""
        low, high = min(_ends(option)), max(_ends(option))

        def distance(own: Any) -> float:
            ends = _ends(own)
            return max(0.0, min(ends) - high, low - max(ends)) if ends else math.inf

        return _label(min(self.options, key=distance))

    def recorded(self, name: str, value: Any) -> dict[str, Any]:
        option = self._holder(value)
        branch = option.recorded(_branch(name, option), value) if isinstance(option, Range) else {}
        return {name: _label(option)} | branch

    def contains(self, value: Any) -> bool:
        return self._holder(value) is not _NOTHING

    def narrowed(self, low: float, high: float) -> Choice | None:
        """Return the options between `low` and `high`, and those that are no numbers; None if there are none."""
        kept = [part for option in self.options if (part := _narrowed_option(option, low, high)) is not _NOTHING]
        return Choice(tuple(kept)) if kept else None

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


def record(trial: BaseTrial, params: Mapping[str, Any]) -> None:
    """Replace suggested values of a running trial, in its study too. Optuna has no public function for it."""
    from optuna import Trial

    if not isinstance(trial, Trial):
        return
    known = trial._cached_frozen_trial
    for name, value in params.items():
        distribution = known.distributions[name]
        trial.storage.set_trial_param(trial._trial_id, name, distribution.to_internal_repr(value), distribution)
        known.params[name] = value


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
