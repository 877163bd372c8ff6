"""A search space whose suggestions become rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks.tuners.curve_table import CurveTable, coordinates_of
from tuneexp.sweep.search.space.dimensions import record

TIED = 1e-9  # distances that differ less are equal


class TableSpace:
    """Stands for a `SearchSpace` in `StudySearcher`. A suggestion becomes the nearest row that was not tried.

    The trial of Optuna then has the values of that row, so that the sampler learns from what was measured.

    Args:
        table: with at least as many rows as there are suggestions.
        rng: decides between rows of equal distance.
    """

    def __init__(self, table: CurveTable, rng: np.random.Generator) -> None:
        self._table, self._rng = table, rng
        self._untried = np.ones(len(table.rows), dtype=bool)

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return `{"row": place in the table}`."""
        dimensions = self._table.dimensions
        point = {dimension.name: dimension.values.suggest(dimension.name, trial) for dimension in dimensions}
        row = self._nearest(np.array(coordinates_of(dimensions, point)))
        self._untried[row] = False
        recorded: dict[str, Any] = {}
        for dimension in dimensions:
            recorded |= dimension.values.recorded(dimension.name, self._table.rows[row][dimension.name])
        record(trial, recorded)
        return {"row": row}

    def trial_settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return no setting beside the row."""
        return {}

    def _nearest(self, point: NDArray[np.float64]) -> int:
        distances = np.linalg.norm(self._table.coordinates - point, axis=1)
        distances[~self._untried] = np.inf
        return int(self._rng.choice(np.flatnonzero(distances <= distances.min() + TIED)))
