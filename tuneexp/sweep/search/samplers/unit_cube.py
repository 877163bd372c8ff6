"""Hyperparameters as points of the unit cube, for a Gaussian process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Floats = NDArray[np.float64]


class UnitCube:
    """Columns of each hyperparameter: one for a number, in the scale of its range, and one for each option of a choice.

    Args:
        space: Optuna's distributions by name.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self._columns: dict[str, slice] = {}
        self._space, start = dict(space), 0
        for name, one in self._space.items():
            width = len(one.choices) if isinstance(one, CategoricalDistribution) else 1
            self._columns[name], start = slice(start, start + width), start + width
        self.size = start

    def point(self, params: Mapping[str, Any]) -> Floats:
        """Return the point [d] of hyperparameters."""
        found = np.zeros(self.size)
        for name, one in self._space.items():
            internal = one.to_internal_repr(params[name])
            if isinstance(one, CategoricalDistribution):
                found[self._columns[name]] = np.arange(len(one.choices)) == internal
            else:
                found[self._columns[name]] = _share(one, np.array([internal]))
        return found

    def snapped(self, points: Floats) -> Floats:
        """Return the nearest valid points. points: [m, d], anywhere; outside of the cube they come to its border."""
        found = np.clip(points, 0.0, 1.0)
        for name, one in self._space.items():
            columns = self._columns[name]
            if isinstance(one, CategoricalDistribution):
                found[:, columns] = np.eye(len(one.choices))[points[:, columns].argmax(axis=1)]
            else:
                found[:, columns] = _share(one, _value(one, found[:, columns]))
        return found

    def params(self, point: Floats) -> dict[str, Any]:
        """Return the hyperparameters of a valid point [d]."""
        found = {}
        for name, one in self._space.items():
            own = point[self._columns[name]]
            internal = own.argmax() if isinstance(one, CategoricalDistribution) else _value(one, own)[0]
            found[name] = one.to_external_repr(float(internal))
        return found


def _limits(one: BaseDistribution) -> tuple[float, float, float]:
    """Return the ends of a range, so that each value of a range with steps has an equal part, and the step; 0: none."""
    assert isinstance(one, FloatDistribution | IntDistribution)
    step = float(one.step or 0.0)
    half = 0.5 if isinstance(one, IntDistribution) and one.log else step / 2
    return one.low - half, one.high + half, step


def _share(one: BaseDistribution, values: Floats) -> Floats:
    """Return where values are in their range, from 0 to 1."""
    low, high, _ = _limits(one)
    if one.log:  # type: ignore[attr-defined]
        return np.log(values / low) / np.log(high / low)
    return (values - low) / (high - low)


def _value(one: BaseDistribution, shares: Floats) -> Floats:
    low, high, step = _limits(one)
    values = low * (high / low) ** shares if one.log else low + (high - low) * shares  # type: ignore[attr-defined]
    if step:
        values = one.low + step * np.round((values - one.low) / step)  # type: ignore[attr-defined]
    return np.clip(values, one.low, one.high)  # type: ignore[attr-defined]
