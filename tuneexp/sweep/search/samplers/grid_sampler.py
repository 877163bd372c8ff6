"""Optuna sampler that suggests each of given points once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

if TYPE_CHECKING:
    from tuneexp.sweep.search.space import SearchSpace


class GridSampler(BaseSampler):
    """Suggest each point once. A point that a trial of the study has, in any state, is left out.

    Optuna's own grid sampler takes a list of values for each name: it has no branches and no constraints. It also
    suggests points twice if trials run in parallel.

    Args:
        points: Parameters of each point.
        seed: Seed of the order.
    """

    def __init__(self, points: Sequence[Mapping[str, Any]], seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(points))
        self.points = [dict(points[index]) for index in order]
        self._keys = [_key(point) for point in self.points]

    def count(self, space: SearchSpace, at_most: int) -> int:
        """Return the number of points, or `at_most`."""
        return min(len(self.points), at_most)

    def is_exhausted(self, study: Study) -> bool:
        """Return True if each point has a trial."""
        return next(self._open(study), None) is None

    def _open(self, study: Study) -> Iterator[dict[str, Any]]:
        """Yield the points that no trial has."""
        taken = {_key(trial.params) for trial in study.get_trials(deepcopy=False)}
        return (point for point, key in zip(self.points, self._keys, strict=True) if key not in taken)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the value of the first open point that has the values of the trial so far."""
        for points in (self._open(study), self.points):
            for point in points:
                if param_name in point and point.items() >= trial.params.items():
                    return point[param_name]
        raise ValueError(f"no point of the grid has {trial.params}; write points of the grid as initial points")


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True, default=str)
