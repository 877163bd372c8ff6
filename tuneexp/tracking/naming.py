"""Names of MLflow runs and models. A trial's run: number, outcome, and its two most important hyperparameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tuneexp.tracking.outcome import DIVERGED, ERROR, INTERRUPTED, OUT_OF_MEMORY, PRUNED, TIMEOUT
from tuneexp.tracking.values import entity_name, important_first, short_names

SHOWN = 2
_LONGEST = 200
# Running and completed trials have no word.
_WORDS = {
    PRUNED: "pruned",
    DIVERGED: "diverged",
    ERROR: "failed",
    OUT_OF_MEMORY: "out of memory",
    TIMEOUT: "timed out",
    INTERRUPTED: "interrupted",
}


def label_of(values: Mapping[str, Any], varied: Iterable[str]) -> str:
    """The trial's first two hyperparameters in the order of the search space: `learning_rate=0.0031 n_steps=256`.

    Their values are those of the trial's start, so only the outcome in a name changes."""
    short = short_names(varied)
    shown = [name for name in important_first(short) if name in values][:SHOWN]
    return " ".join(f"{short[name]}={brief(values[name])}" for name in shown)


def run_name(number: int, label: str, outcome: str = "") -> str:
    """Name of a trial's run: `003 pruned learning_rate=0.0031 n_steps=256`."""
    return " ".join(part for part in (f"{number:03d}", _WORDS.get(outcome, ""), label) if part)[:_LONGEST]


def own_names(number: int, label: str) -> set[str]:
    """All names that tuneexp gives to a trial's run, older versions included. A user chose any other name."""
    return {run_name(number, label, outcome) for outcome in ("", *_WORDS)} | {f"trial-{number:03d}"}


def brief(value: Any) -> str:
    """A hyperparameter's value with three digits."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def model_name(sweep: str, trial: int, step: int) -> str:
    """Name of the logged model of a checkpoint: `first-trial-3-step-4000`. MLflow's table doesn't show the step."""
    return f"{entity_label(sweep)}-trial-{trial}-step-{step}"


def entity_label(name: str) -> str:
    """Return a name that a logged model may have."""
    return entity_name(name).translate(str.maketrans("/:.", "---"))
