"""Number of compiled programs that trials of a search space can need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from tuneexp.nesting import flat

if TYPE_CHECKING:
    from tuneexp.config import Config
    from tuneexp.sweep.search.space import SearchSpace

MOST_LOOKED_AT = 2_000  # 0.1 ms each


@dataclass(frozen=True)
class Programs:
    """Programs of a search space.

    Attributes:
        combinations: Combinations of structural values with a program of their own; None if they are endless.
        bound: "exact"; "at least", if they were counted in random configurations only; or "at most".
        names: Hyperparameters that they consist of.
        per_trial: Programs of one trial: one for each size of its cohorts, if seeds race.
    """

    combinations: int | None
    bound: Literal["exact", "at least", "at most"]
    names: tuple[str, ...]
    per_trial: int = 1

    def words(self) -> str:
        """Return a text such as `4 combinations of minibatch rows, model/activation`."""
        names = ", ".join([*self.names, *(["seeds of a cohort"] if self.per_trial > 1 else [])])
        if self.combinations is None:
            return f"one for nearly each trial, since {names} varies continuously"
        bound = "" if self.bound == "exact" else f"{self.bound} "
        number = self.combinations * self.per_trial
        return f"{bound}1, for all trials" if number == 1 else f"{bound}{number:,} combinations of {names}"


def programs_of(space: SearchSpace, config_class: type[Config]) -> Programs:
    """Return the number of distinct programs that trials can need.

    Fields that are declared structural count, except for those that no built-in program has
    (`AlgorithmConfig.outside_of_programs`).

    Args:
        space: A validated space.
        config_class: Configuration class of its algorithm.

    Returns:
        Their number, and how exact it is.
    """
    from tuneexp.sweep.search.space.structural import StructuralValues

    if not space.dimensions:  # of a function
        return _counted(space.configurations(space.rehearsed), "at least")
    values = StructuralValues(space, config_class)
    if values.endless:
        return Programs(None, "exact", tuple(values.endless))
    found = _counted(values.configurations(MOST_LOOKED_AT), "exact")
    if values.most() <= MOST_LOOKED_AT:
        return found
    return Programs(int(values.most()), "at most", found.names)


def _counted(configurations: Iterable[Any], bound: Literal["exact", "at least"]) -> Programs:
    keys: set[str] = set()
    texts: dict[str, set[str]] = {}
    for configuration in configurations:
        values = {name: repr(value) for name, value in flat(_plain(configuration.of_programs())).items()}
        keys.add(json.dumps(values, sort_keys=True))
        for name, text in values.items():
            texts.setdefault(name, set()).add(text)
    varied = tuple(name for name, found in texts.items() if len(found) > 1)
    return Programs(max(1, len(keys)), bound, varied)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) if isinstance(value, Mapping) else _dumped(value) for name, value in values.items()}


def _dumped(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value
