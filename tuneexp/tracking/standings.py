"""Standings of the trials of a sweep with several objectives or with constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OBJECTIVES = ("objective", "objective_low", "objective_high")  # the default objective and its interval over seeds
FRONT, VIOLATED = "pareto_front", "violated"  # tags of runs


@dataclass(frozen=True)
class Standings:
    """Standings of the trials of a sweep, by their numbers.

    Attributes:
        objectives: Names of the objectives, if there are several or one that is not the default.
        front: Trials of the Pareto front; none with one objective.
        violated: Constraints that completed trials violate.
        completed: Completed trials.
    """

    objectives: tuple[str, ...] = ()
    front: tuple[int, ...] = ()
    violated: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    completed: tuple[int, ...] = ()

    def best(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics `best_...` of a sweep. metrics: of its best trial; empty if there is none."""
        names = dict.fromkeys((*OBJECTIVES, *self.objectives))
        return {f"best_{name}": metrics[name] for name in names if name in metrics}

    @property
    def tags(self) -> dict[int, dict[str, str]]:
        """Return trial number -> tags of its run. An earlier end of the sweep may have put others on the front."""
        tags: dict[int, dict[str, str]] = {}
        for number in self.completed if len(self.objectives) > 1 else ():
            tags[number] = {FRONT: str(number in self.front).lower()}
        for number, texts in self.violated.items():
            tags[number] = {**tags.get(number, {}), VIOLATED: ", ".join(texts)}
        return tags
