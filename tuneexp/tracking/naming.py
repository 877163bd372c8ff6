"""Names of the trials' runs: number, outcome, and the two varied hyperparameters that matter most."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tuneexp.tracking.outcome import DIVERGED, ERROR, INTERRUPTED, OUT_OF_MEMORY, PRUNED, TIMEOUT
from tuneexp.tracking.values import important_first, short_names

SHOWN = 2
_LONGEST = 200
# A trial that runs, or ran to its end, has no word.
_WORDS = {
    PRUNED: "pruned",
    DIVERGED: "diverged",
    ERROR: "failed",
    OUT_OF_MEMORY: "out of memory",
    TIMEOUT: "timed out",
    INTERRUPTED: "interrupted",
}


def label_of(values: Mapping[str, Any], varied: Iterable[str]) -> str:
    """`learning_rate=0.0031 n_steps=256`: the first two of the space's order that this trial has. They are those that
    it started with, so that a name never changes but for its word."""
    short = short_names(varied)
    shown = [name for name in important_first(short) if name in values][:SHOWN]
    return " ".join(f"{short[name]}={brief(values[name])}" for name in shown)


def run_name(number: int, label: str, outcome: str = "") -> str:
    """`003 pruned learning_rate=0.0031 n_steps=256`."""
    return " ".join(part for part in (f"{number:03d}", _WORDS.get(outcome, ""), label) if part)[:_LONGEST]


def own_names(number: int, label: str) -> set[str]:
    """All names that a trial's run is given, also by older versions; any other one is a person's."""
    return {run_name(number, label, outcome) for outcome in ("", *_WORDS)} | {f"trial-{number:03d}"}


def brief(value: Any) -> str:
    """A hyperparameter's value with three digits."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)
