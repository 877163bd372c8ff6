"""Parser of search spaces: a YAML mapping or Tune's sample objects become dimensions and constants."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuneexp.config import is_number, without_suffixes
from tuneexp.errors import UserError, unknown_name
from tuneexp.nesting import slashed
from tuneexp.sweep.search.space.dimensions import (
    INT_KINDS,
    KINDS,
    LOG_KINDS,
    Choice,
    Range,
    Values,
    complement,
    decimal,
    same,
)

_HOW = {
    "uniform": "[low, high]",
    "loguniform": "[low, high]",
    "complement_loguniform": "[low, high], as in [0.9, 0.9999]",
    "quniform": "[low, high, step]",
    "int": "[low, high] or [low, high, step]",
    "logint": "[low, high]",
    "choice": "a list of options",
}


@dataclass(frozen=True)
class Dimension:
    """One searched hyperparameter. when: name -> values of other hyperparameters for which it is searched."""

    name: str
    values: Values
    when: Mapping[str, list[Any]] = field(default_factory=dict)

    def spell(self) -> dict[str, Any]:
        return self.values.spell() | ({"when": dict(self.when)} if self.when else {})


def parse_entries(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Dimension | Any]]:
    """Yield (flat name, dimension or constant) of each leaf. UserError for a leaf that is neither."""
    for key, entry in entries.items():
        if not isinstance(key, str) or not key:
            raise UserError(f"the key {key!r} of the space is no text; write the name of a hyperparameter")
        name = f"{prefix}{slashed(key)}"
        if is_tune_object(entry):
            yield name, Dimension(name, from_tune_object(name, entry))
        elif not isinstance(entry, Mapping):
            yield name, plain_value(name, entry)
        elif "grid_search" in entry:
            raise _no_grid(name)
        elif (kind := _kind_of(name, entry)) is None:
            yield from parse_entries(entry, f"{name}/")
        else:
            yield name, Dimension(name, parse_values(name, kind, entry[kind]), _conditions(name, entry.get("when", {})))


def parse_values(name: str, kind: str, arguments: Any) -> Values:
    """Parse `{kind: arguments}` of the hyperparameter `name`."""
    if not isinstance(arguments, Sequence) or isinstance(arguments, str):
        raise UserError(f"{name}: {kind} takes {_HOW[kind]}, got {arguments!r}")
    return _choice(name, arguments) if kind == "choice" else _range(name, kind, arguments)


def is_tune_object(value: Any) -> bool:
    """Return True for `tune.uniform(...)` and similar objects, by the name of their module: Ray is not imported."""
    return any(
        base.__module__ == "ray.tune.search.sample" and base.__name__ == "Domain" for base in type(value).__mro__
    )


def from_tune_object(name: str, domain: Any) -> Values:
    """Parse `tune.uniform`, `loguniform`, `quniform`, `randint`, `lograndint`, `qrandint`, `choice`.

    UserError for others. Tune excludes the upper bound of `randint` and `lograndint`, and includes that of
    `qrandint`."""
    from ray.tune.search import sample

    sampler = domain.get_sampler()
    quantum = sampler.q if isinstance(sampler, sample.Quantized) else None
    base = sampler.get_sampler() if isinstance(sampler, sample.Quantized) else sampler
    log = isinstance(base, sample.LogUniform)
    if isinstance(domain, sample.Categorical) and isinstance(base, sample.Uniform):
        return _choice(name, domain.categories)
    if isinstance(domain, sample.Float | sample.Integer) and isinstance(base, sample.LogUniform | sample.Uniform):
        if log and quantum is not None:
            without = "loguniform" if isinstance(domain, sample.Float) else "lograndint"
            raise UserError(f"{name}: a log range has no steps here; write tune.{without} or tune.choice([...])")
        steps = [] if quantum is None else [quantum]
        if isinstance(domain, sample.Float):
            kind = "loguniform" if log else "uniform" if quantum is None else "quniform"
            return _range(name, kind, [domain.lower, domain.upper, *steps])
        upper = domain.upper - (quantum is None)
        if upper == domain.lower:
            return _choice(name, [upper])
        return _range(name, "logint" if log else "int", [domain.lower, upper, *(steps if quantum != 1 else [])])
    if getattr(domain, "is_grid", lambda: False)():
        raise _no_grid(name)
    raise UserError(
        f"{name}: {type(base).__name__.lstrip('_')} sampling can't be searched; write uniform, loguniform, quniform, "
        "randint, lograndint, qrandint or choice, or a define-by-run function"
    )


def _no_grid(name: str) -> UserError:
    return UserError(
        f"{name}: grid_search can't be combined with a searcher; write {{choice: [...]}} or tune.choice([...])"
    )


def _kind_of(name: str, entry: Mapping[str, Any]) -> str | None:
    """Return the kind of a dimension; None for a group of nested keys."""
    kinds = [key for key in entry if key in KINDS]
    others = [key for key in entry if key not in KINDS and key != "when"]
    if not kinds:
        if "when" in entry or _looks_like_kind(entry, others):
            raise unknown_name(f"kind of range for {name}:", others[0] if others else "when", KINDS)
        return None
    if len(kinds) > 1 or others:
        raise UserError(
            f"{name}: write one kind, as in {{{kinds[0]}: {_HOW[kinds[0]]}}}; got {', '.join(map(str, entry))}"
        )
    return str(kinds[0])


def _looks_like_kind(entry: Mapping[str, Any], others: list[Any]) -> bool:
    if len(others) != 1 or not isinstance(entry[others[0]], list | tuple):
        return False
    return bool(difflib.get_close_matches(str(others[0]).lower(), KINDS, n=1, cutoff=0.75))


def plain_value(name: str, value: Any) -> Any:
    """Return `value` as JSON. UserError if JSON can't hold it."""
    plain = without_suffixes(list(value) if isinstance(value, tuple) else value)
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        raise UserError(
            f"{name}: {value!r} is no plain value; write a number, text, true, false, null or a list"
        ) from None
    return plain


def _conditions(name: str, when: Any) -> dict[str, list[Any]]:
    if not isinstance(when, Mapping):
        raise UserError(f"{name}: when takes a mapping, as in when: {{normalize_advantage: true}}, got {when!r}")
    return {str(key).replace(".", "/"): list(v) if isinstance(v, list | tuple) else [v] for key, v in when.items()}


def _choice(name: str, options: Iterable[Any]) -> Choice:
    parsed = []
    for option in options:
        kind = _kind_of(name, option) if isinstance(option, Mapping) else None
        if kind == "choice" or (kind and "when" in option):
            raise UserError(f"{name}: an option of a choice is a value or a range such as {{loguniform: [0.01, 0.1]}}")
        if is_tune_object(option):
            parsed.append(from_tune_object(name, option))
        else:
            parsed.append(parse_values(name, kind, option[kind]) if kind else plain_value(name, option))
    if not parsed:
        raise UserError(f"{name}: the choice is empty; write its options, as in {{choice: [64, 128]}}")
    choice = Choice(tuple(parsed))
    _refuse_repeated(name, choice.labels())
    return choice


def _refuse_repeated(name: str, labels: list[Any]) -> None:
    for number, label in enumerate(labels):
        # Optuna compares categories by ==, for which 1, 1.0 and True are equal.
        if any(label == other for other in labels[:number]):
            raise UserError(f"{name}: the choice holds {label!r} twice; keep one of them")


def _range(name: str, kind: str, arguments: Sequence[Any]) -> Range:
    allowed = {"quniform": (3,), "int": (2, 3)}.get(kind, (2,))
    numbers = [_number(name, kind, argument) for argument in arguments]
    if len(numbers) not in allowed:
        raise UserError(f"{name}: {kind} takes {_HOW[kind]}, got {list(arguments)}")
    low, high, step = numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None
    if low == high:
        raise UserError(f"{name}: the range is the single value {low}; write {name}: {low}")
    made = Range(kind, min(low, high), max(low, high), step)
    _refuse_log_of_nothing(name, made, numbers)
    fitted = _with_fitting_step(made)
    if low > high:
        raise UserError(f"{name}: the lower bound is above the upper one; write {kind}: {fitted}")
    if step is not None and (step <= 0 or not math.isclose(made.on_grid(high), high, rel_tol=1e-9)):
        raise UserError(f"{name}: {high} is no whole number of steps of {step} above {low}; write {kind}: {fitted}")
    return made


def _refuse_log_of_nothing(name: str, values: Range, written: list[int | float]) -> None:
    kind, low, high = values.kind, values.low, values.high
    if kind in LOG_KINDS and low <= 0:
        above = [1 if values.is_int else float(f"{high / 1000:g}"), high]
        instead = f"{kind}: {above}" if high > 0 else "two numbers above 0"
        raise UserError(f"{name}: the bounds of a log range are above 0, got {written}; write {instead}")
    if kind == "complement_loguniform" and high >= 1:
        below = [low, complement(min(1e-4, complement(low) / 10))]
        instead = f"{kind}: {below}" if low < 1 else "two numbers below 1, as in [0.9, 0.9999]"
        raise UserError(
            f"{name}: 1 - {name} is log-uniform, so the upper bound is below 1, got {written}; write {instead}"
        )


def _with_fitting_step(values: Range) -> list[Any]:
    """Return the range with ordered bounds and a fitting step, for the advice of an error."""
    if values.step is None:
        return [values.low, values.high]
    width = float(decimal(values.high) - decimal(values.low))
    if not 0 < values.step <= width:
        return [values.low, values.high, 1 if values.is_int else width]
    return [values.low, values.on_grid(values.high, round_down=True), values.step]


def _number(name: str, kind: str, value: Any) -> int | float:
    if hasattr(value, "item"):
        value = value.item()  # numpy numbers, from Tune's objects
    value = without_suffixes(value)
    if not is_number(value) or not math.isfinite(value):
        raise UserError(f"{name}: {kind} takes {_HOW[kind]} of finite numbers, got {value!r}")
    if kind not in INT_KINDS:
        return float(value)
    if value != int(value):
        fractions = "loguniform" if kind in LOG_KINDS else "uniform, or quniform with a step,"
        raise UserError(f"{name}: {kind} takes whole numbers, got {value!r}; write {fractions} for fractions")
    return int(value)


def is_one_of(value: Any, allowed: Iterable[Any]) -> bool:
    return any(same(value, one) for one in allowed)
