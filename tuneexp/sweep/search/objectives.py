"""Objectives of a sweep and constraints on metrics: the numbers of a report that count, and their directions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from tuneexp.sweep.search.metrics import (
    DEFAULT,
    KEYS,
    STEPS_TO,
    Direction,
    default_direction,
    require_possible,
    score_to_reach,
)

# Larger is better. Several objectives are compared by dominance.
Score = float | tuple[float, ...]
# A score that was not reached counts as twice the budget: the penalised average runtime PAR2 of algorithm selection.
PENALTY = 2
_CONSTRAINT = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=)\s*([^<>=\s]+)\s*")


def _objective(asked: Any) -> dict[str, str]:
    """Return name and direction of an objective as it is written: `wall_s`, `wall_s:min` or a mapping."""
    if isinstance(asked, str):
        first, _, second = asked.partition(":")
        asked = {"name": first.strip(), **({"direction": second.strip()} if second else {})}
    if not isinstance(asked, Mapping) or not isinstance(asked.get("name"), str):
        raise ValueError('write a metric, metric:min, or a mapping {"name": "wall_s", "direction": "min"}')
    name, direction = asked["name"], asked.get("direction")
    if unknown := set(asked) - {"name", "direction"}:
        raise ValueError(f"an objective has a name and a direction, not {', '.join(sorted(map(str, unknown)))}")
    score_to_reach(name)
    require_possible(name)
    direction = direction or default_direction(name)
    if direction not in ("max", "min"):
        raise ValueError(f"the direction of {name} is max or min; write {name}:max or {name}:min")
    return {"name": name, "direction": direction}


def _objectives(asked: Any) -> Any:
    if isinstance(asked, str | Mapping):
        asked = [asked]
    if not isinstance(asked, Sequence) or not asked:
        raise ValueError("write a list of metrics, such as [return_mean, wall_s]")
    found = [_objective(one) for one in asked]
    names = [one["name"] for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is named twice; keep one of them")
    return found


# A setting of a sweep: names and directions of its objectives.
ObjectiveList = Annotated[list[dict[str, str]], BeforeValidator(_objectives)]


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric of the last report, `wall_s<=600`.

    Attributes:
        text: The constraint without spaces.
        name: The metric.
        bound: The bound.
        at_most: True for `<=`, False for `>=`.
    """

    text: str
    name: str
    bound: float
    at_most: bool

    @classmethod
    def parse(cls, text: Any) -> Constraint:
        """Read a constraint. ValueError for anything else than METRIC<=NUMBER and METRIC>=NUMBER."""
        match = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
        try:
            bound = float(match[3]) if match else math.nan
        except ValueError:
            bound = math.nan
        if match is None or not math.isfinite(bound):
            raise ValueError("a constraint is METRIC<=NUMBER or METRIC>=NUMBER, such as wall_s<=600")
        score_to_reach(match[1])
        require_possible(match[1])
        return cls("".join(match.groups()), match[1], bound, match[2] == "<=")

    def violation(self, value: float) -> float:
        """Return by how much a value misses the bound, in units of the bound; 0 or less if it is kept.

        A value that is not finite counts as a violation of 1."""
        if not math.isfinite(value):
            return 1.0
        excess = value - self.bound if self.at_most else self.bound - value
        return excess / (abs(self.bound) or 1.0)


def _constraints(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(Constraint.parse(text).text for text in texts))


def _listed(asked: Any) -> Any:
    return [asked] if isinstance(asked, str) else asked


# A setting of a sweep: constraints as texts.
ConstraintList = Annotated[list[str], BeforeValidator(_listed), AfterValidator(_constraints)]


@dataclass(frozen=True)
class Objectives:
    """The numbers of a report that a sweep optimizes, and its constraints. One objective by default: `objective`.

    Args:
        names: Metrics, by their names in MLflow.
        directions: "max" or "min" of each.
        constraints: Bounds on metrics.
        budget_env_steps: Environment steps per seed of a whole trial; a score that was not reached counts twice this.
    """

    names: tuple[str, ...] = (DEFAULT,)
    directions: tuple[Direction, ...] = ("max",)
    constraints: tuple[Constraint, ...] = ()
    budget_env_steps: int = 0

    @classmethod
    def of(
        cls, asked: Sequence[Mapping[str, Any]] | None, constraints: Sequence[str] = (), budget_env_steps: int = 0
    ) -> Objectives:
        """Return the objectives of the settings `objectives` and `constraints` of a sweep."""
        chosen = asked or [{"name": DEFAULT, "direction": "max"}]
        return cls(
            tuple(one["name"] for one in chosen),
            tuple(one["direction"] for one in chosen),
            tuple(map(Constraint.parse, constraints)),
            budget_env_steps,
        )

    @property
    def several(self) -> bool:
        """True if there is more than one objective."""
        return len(self.names) > 1

    @property
    def described(self) -> list[dict[str, str]]:
        """Name and direction of each objective."""
        return [{"name": name, "direction": one} for name, one in zip(self.names, self.directions, strict=True)]

    @property
    def of_optuna(self) -> list[Literal["maximize", "minimize"]]:
        """Directions as Optuna calls them."""
        return ["maximize" if direction == "max" else "minimize" for direction in self.directions]

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics that are needed, each once."""
        return list(dict.fromkeys([*self.names, *(one.name for one in self.constraints)]))

    @property
    def scores_to_reach(self) -> list[str]:
        """Scores whose environment steps are metrics, as texts."""
        return [name.removeprefix(STEPS_TO) for name in self.metrics if name.startswith(STEPS_TO)]

    def values(self, result: Mapping[str, Any] | None) -> list[float] | None:
        """Return the values of a report, one for each objective; None if one of them is missing or not finite."""
        if not result or not math.isfinite(_number(result.get(DEFAULT, math.nan))):
            return None  # every seed has diverged: no other number of the trial counts
        values = [self.value(name, result) for name in self.names]
        return values if all(map(math.isfinite, values)) else None

    def value(self, name: str, result: Mapping[str, Any]) -> float:
        """Return a metric of a report; NaN if it is missing."""
        missing = PENALTY * self.budget_env_steps if name.startswith(STEPS_TO) else math.nan
        return _number(result.get(KEYS.get(name, name), missing))

    def score(self, values: Sequence[float]) -> Score:
        """Return values as schedulers compare them: larger is better; a single number for one objective."""
        signed = tuple(
            value if direction == "max" else -value for value, direction in zip(values, self.directions, strict=True)
        )
        return signed if self.several else signed[0]

    def named(self, result: Mapping[str, Any] | None) -> dict[str, float]:
        """Return the values of a report by the names of the objectives, without those that are not finite."""
        values = {name: self.value(name, result or {}) for name in self.names} if result else {}
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def front(self, points: Mapping[int, Mapping[str, float]]) -> list[int]:
        """Return the keys of the points that no other point dominates; with one objective, the best one.

        points: values by name, of trials that satisfy all constraints. Points that lack an objective are left out."""
        whole = {
            key: [point[name] for name in self.names] for key, point in points.items() if {*self.names} <= {*point}
        }
        scores = {key: self.score(values) for key, values in whole.items()}
        if not self.several:
            return [max(scores, key=lambda key: scores[key])] if scores else []
        from tuneexp.sweep.search.pareto import front

        keys = list(scores)
        return [keys[index] for index in front([score for score in scores.values() if isinstance(score, tuple)])]

    def violated(self, result: Mapping[str, Any] | None) -> list[str]:
        """Return the constraints that a report violates."""
        return [text for text, violation in self.violations(result).items() if violation > 0]

    def violations(self, result: Mapping[str, Any] | None) -> dict[str, float]:
        """Return the violation of each constraint by its text; above 0 if a report violates it."""
        return {one.text: one.violation(self.value(one.name, result or {})) for one in self.constraints}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) or hasattr(value, "__float__") else math.nan
