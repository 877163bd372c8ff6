"""Scores of one rung in order: numbers, or vectors of several objectives, which are compared by dominance."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Collection

from tuneexp.sweep.search.objectives import Score


class NumberRanking:
    """Scores that are numbers; larger is better."""

    def __init__(self) -> None:
        # (minus the score, order of arrival, trial id), the best first.
        self._ranked: list[tuple[float, int, str]] = []

    def __len__(self) -> int:
        return len(self._ranked)

    def add(self, trial_id: str, score: float) -> None:
        """Add the score of a trial."""
        insort(self._ranked, (-score, len(self._ranked), trial_id))

    def best(self, number: int, among: Collection[str] | None = None) -> list[str]:
        """Return the ids of the best trials, the best first; of equal ones, the first to arrive.

        among: only these trials."""
        if among is None:
            return [trial_id for _, _, trial_id in self._ranked[:number]]
        return [trial_id for _, _, trial_id in self._ranked if trial_id in among][:number]

    def quantile(self, share: float) -> float | None:
        """Return a quantile of the scores, interpolated linearly; None without scores."""
        if not self._ranked:
            return None
        place = (1 - share) * (len(self._ranked) - 1)  # from the best
        above = math.floor(place)
        below = min(above + 1, len(self._ranked) - 1)
        high, low = -self._ranked[above][0], -self._ranked[below][0]
        return high + (low - high) * (place - above)

    def is_below(self, share: float, score: float) -> bool:
        """Return True if a further score is below the quantile `share`."""
        cutoff = self.quantile(share)
        return cutoff is not None and score < cutoff

    def arrived(self) -> dict[str, float]:
        """Return the scores by trial id, in the order of arrival."""
        return {trial_id: -minus for minus, _, trial_id in sorted(self._ranked, key=lambda entry: entry[1])}


class FrontRanking:
    """Scores that are vectors, larger is better: non-dominated fronts, and within a front an epsilon-net.

    It is the order of multi-objective asynchronous successive halving (Schmucker et al. 2021, arXiv:2106.12639)."""

    def __init__(self) -> None:
        from tuneexp.sweep.search.pareto import Fronts

        self._ids: list[str] = []
        self._fronts = Fronts()
        self._best: tuple[int, list[str]] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, trial_id: str, score: tuple[float, ...]) -> None:
        """Add the score of a trial."""
        self._ids.append(trial_id)
        self._fronts.add(score)
        self._best = None

    def best(self, number: int, among: Collection[str] | None = None) -> list[str]:
        """Return the ids of the preferred trials: better fronts first. among: only these trials."""
        if among is not None:
            part = FrontRanking()
            for trial_id, score in self.arrived().items():
                if trial_id in among:
                    part.add(trial_id, score)
            return part.best(number)
        if self._best is None or self._best[0] != number:
            self._best = number, [self._ids[index] for index in self._fronts.best(number)]
        return self._best[1]

    def is_below(self, share: float, score: tuple[float, ...]) -> bool:
        """Return True if more than the best `1 - share` of the trials are preferred to a further one.

        Only as much is sorted as the answer needs."""
        if not self._ids:
            return False
        most = (1 - share) * (len(self._ids) - 1)
        ahead, beside = self._fronts.ahead(score)
        if ahead > most or ahead + len(beside) <= most:
            return ahead > most
        from tuneexp.sweep.search.pareto import place_in_front

        return ahead + place_in_front(beside, score) > most

    def arrived(self) -> dict[str, tuple[float, ...]]:
        """Return the scores by trial id, in the order of arrival."""
        points = map(tuple, self._fronts.points.tolist())
        return dict(zip(self._ids, points, strict=True))


Ranking = NumberRanking | FrontRanking


def ranking_of(score: Score) -> Ranking:
    """Return an empty ranking for scores of this kind."""
    return FrontRanking() if isinstance(score, tuple) else NumberRanking()
