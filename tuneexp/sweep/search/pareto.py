"""Dominance between points of several objectives, and an order of preference. Larger is better in every objective."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def dominated(points: Points, by: Points) -> NDArray[np.bool_]:
    """Return which points are dominated: no better than `by` in any objective, worse in one.

    Args:
        points: The points, [..., M].
        by: The points that may dominate, [..., M]; both are broadcast against each other.
    """
    return np.asarray((points <= by).all(axis=-1) & (points < by).any(axis=-1))


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the indices of the points that no other point dominates, ascending. points: [N, M]."""
    table = np.array(points, dtype=np.float64)
    return [index for index, point in enumerate(table) if not dominated(point, table).any()]


def spread_order(points: Points, number: int | None = None) -> list[int]:
    """Return the indices of points of one front so that each prefix of the order is spread over the front.

    The first point is the best one in the first objective. Each next one has the largest distance to those before it,
    in units of the range of each objective: the epsilon-net of Schmucker et al. 2021 (arXiv:2106.12639). Of equal
    points the first comes first.

    Args:
        points: The points, [N, M].
        number: Length of the order; None for all.
    """
    lowest, highest = points.min(axis=0), points.max(axis=0)
    scaled = (points - lowest) / np.where(highest > lowest, highest - lowest, 1.0)
    order = [int(points[:, 0].argmax())]
    distance = np.linalg.norm(scaled - scaled[order[0]], axis=1)
    for _ in range(min(len(points), len(points) if number is None else number) - 1):
        distance[order[-1]] = -1.0
        order.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[order[-1]], axis=1))
    return order


def place_in_front(others: Points, point: Sequence[float]) -> int:
    """Return how many points of a front `spread_order` prefers to a further one. others: [K, M]; equal ones don't."""
    row = np.asarray(point, dtype=np.float64)[None]
    points = np.concatenate([others, row])
    equal = set(np.flatnonzero((points == row).all(axis=1)).tolist())
    return next(place for place, index in enumerate(spread_order(points)) if index in equal)


class Fronts:
    """Non-dominated fronts of points that are added one by one.

    The front of a point is one more than the last front with a point that dominates it, 0 if no point does. It is the
    non-dominated sorting of NSGA-II (Deb et al. 2002, doi:10.1109/4235.996017), without sorting again.

    Attributes:
        points: The points, [N, M].
        fronts: The front of each, [N].
    """

    def __init__(self) -> None:
        self.points: Points = np.empty((0, 0))
        self.fronts = np.empty(0, dtype=np.int64)

    def front_of(self, point: Sequence[float]) -> int:
        """Return the front that a further point would be in."""
        better = dominated(np.asarray(point), self.points) if len(self.points) else np.empty(0, dtype=bool)
        return int(self.fronts[better].max(initial=-1)) + 1

    def add(self, point: Sequence[float]) -> None:
        """Add a point. Points that it dominates may move to the next front."""
        front = self.front_of(point)
        row = np.asarray(point, dtype=np.float64)[None]
        self.points = np.concatenate([self.points, row]) if len(self.points) else row
        self.fronts = np.append(self.fronts, front)
        moved = np.array([len(self.points) - 1])
        while len(moved):
            others = np.flatnonzero(self.fronts == front)
            worse = dominated(self.points[others], self.points[moved][:, None])  # [moved, others]
            moved, front = others[worse.any(axis=0)], front + 1
            self.fronts[moved] = front

    def ahead(self, point: Sequence[float]) -> tuple[int, Points]:
        """Return how many points are in better fronts than a further point, and the others of its own front, [K, M]."""
        at, row = self.front_of(point), np.asarray(point, dtype=np.float64)
        if not len(self.points):
            return 0, self.points
        beside = self.points[self.fronts == at]
        return int((self.fronts < at).sum()), beside[~dominated(beside, row)]

    def best(self, number: int) -> list[int]:
        """Return the indices of the preferred points.

        Better fronts come first, each in the order of arrival. Of the front that does not fit whole, `spread_order`
        takes some."""
        in_order = np.argsort(self.fronts, kind="stable")  # by front, then by arrival
        ends = np.cumsum(np.bincount(self.fronts))
        whole = int(np.searchsorted(ends, number, side="right"))  # fronts that fit
        start = int(ends[whole - 1]) if whole else 0
        chosen: list[int] = in_order[:start].tolist()
        if start < number and whole < len(ends):
            members = in_order[start : ends[whole]]
            chosen += members[spread_order(self.points[members], number - start)].tolist()
        return chosen
