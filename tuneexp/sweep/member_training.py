"""Training of a member of a population: the hyperparameters that it began with, and how they changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuneexp.nesting import flat, nested
from tuneexp.sweep.results import SweepResult, TrialResult
from tuneexp.sweep.search.population.lineage import Segment, lineage


@dataclass(frozen=True)
class Training:
    """Hyperparameters of a training by environment steps.

    Attributes:
        hyperparameters: At its start, nested.
        schedule: Changes, each with `env_steps` per seed and `values` (flat, those that change), as in `TrialConfig`.
    """

    hyperparameters: Mapping[str, Any]
    schedule: list[dict[str, Any]] = field(default_factory=list)


def segments_of(result: SweepResult, number: int) -> list[Segment]:
    """Return the lineage of a trial of a sweep."""
    takeovers = {one.trial_number: one.takeovers for one in result.trials}
    return lineage(takeovers, {one.trial_number: flat(one.config) for one in result.trials}, number)


def training_of(result: SweepResult, trial: TrialResult) -> Training:
    """Return the training that led to the state of a trial: that of its lineage, if it has continued from others."""
    if not trial.takeovers:
        return Training(trial.config)
    return along(segments_of(result, trial.trial_number), flat(trial.config))


def along(segments: Sequence[Segment], values: Mapping[str, Any]) -> Training:
    """Return the training along a lineage. values: present hyperparameters of the last member, flat."""
    first, *later = segments
    held = {**values, **first.values}
    start = nested(held)
    schedule: list[dict[str, Any]] = []
    for segment in later:
        if changed := {name: value for name, value in segment.values.items() if held.get(name) != value}:
            schedule.append({"env_steps": segment.env_steps, "values": changed})
            held |= changed
    return Training(start, schedule)
