"""Learning curves of the configurations of a search space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tuners.scales import position
from tuneexp.sweep.search.space.dimensions import Choice
from tuneexp.sweep.search.space.space_parser import Dimension


@dataclass(frozen=True)
class CurveTable:
    """Learning curves of R configurations.

    Args:
        name: of the table.
        dimensions: hyperparameters that vary, with their ranges or options.
        rows: R mappings, hyperparameters of each configuration.
        env_steps: [E], environment steps of the evaluations, increasing. The last one is the budget.
        returns: R arrays [seeds, E]. Higher is better.
        seconds: [R], duration of a full training; None: unknown.
        notes: remarks of the reader, such as columns that were left out.
    """

    name: str
    dimensions: tuple[Dimension, ...]
    rows: tuple[dict[str, Any], ...]
    env_steps: NDArray[np.int64]
    returns: tuple[NDArray[np.float64], ...]
    seconds: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def budget_env_steps(self) -> int:
        return int(self.env_steps[-1])

    @property
    def fewest_seeds(self) -> int:
        """Number of seeds of the configuration that has the fewest."""
        return min(len(curves) for curves in self.returns)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """[R], score of each configuration: the mean return of all of its seeds at the end."""
        return np.array([curves[:, -1].mean() for curves in self.returns])

    @cached_property
    def coordinates(self) -> NDArray[np.float64]:
        """[R, D], the configurations in the scale of the space.

        A range has one coordinate from 0 to 1. A choice has one per option, so that two options have distance 1."""
        return np.array([coordinates_of(self.dimensions, row) for row in self.rows])


def coordinates_of(dimensions: tuple[Dimension, ...], row: dict[str, Any]) -> list[float]:
    """Return the coordinates of one configuration, as in `CurveTable.coordinates`."""
    found: list[float] = []
    for dimension in dimensions:
        values, value = dimension.values, row[dimension.name]
        if isinstance(values, Choice):
            found += [float(np.sqrt(0.5)) if option == value else 0.0 for option in values.options]
        else:
            found.append(position(values, value))
    return found
