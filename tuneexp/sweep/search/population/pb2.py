"""Population-based bandits: a Gaussian process chooses the hyperparameters of replaced members."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from tuneexp.sweep.search.population.options import PbtOptions
from tuneexp.sweep.search.population.population import Population
from tuneexp.sweep.search.population.unit_values import from_unit, to_unit
from tuneexp.sweep.search.space.dimensions import Range

if TYPE_CHECKING:
    from tuneexp.statistics.gaussian_process import Floats, GaussianProcess

FEWEST = 4  # observations for a fit
MOST = 300  # the newest ones
CANDIDATES = 1000


class Pb2Options(PbtOptions):
    """Options of `pb2`. `perturbation` and `resample_probability` are for choices, which the process doesn't model."""

    deviations: float = Field(
        1.0, ge=0, le=10, description="Weight of the standard deviation in the upper confidence bound."
    )


class Pb2Population(Population):
    """PB2 (Parker-Holder et al. 2020, arXiv:2002.02518): exploit as in PBT, explore by a time-varying bandit.

    A Gaussian process models the change of the score over an interval, as a function of the hyperparameters and of the
    time (section 3). A replaced member gets the values with the highest upper confidence bound at the present time. For
    those that are replaced together, the mean at points that were just chosen counts as observed. Here time is an input
    of the process with a length scale of its own, in place of the paper's factor of decay."""

    def __init__(self, space: Mapping[str, Any], options: Pb2Options, members: int) -> None:
        super().__init__(space, options, members)
        self._deviations = options.deviations
        self._fitted: tuple[GaussianProcess, float] | None = None  # to the intervals before the decision
        self._numbers = [name for name, values in self.space.items() if isinstance(values, Range)]
        self._rows: list[list[float]] = []  # environment steps, change of the score, values in the unit cube
        self._before: dict[int, float] = {}  # by member: score at the end of the last interval
        self._chosen: list[list[float]] = []  # in the decision that is being made

    def _observe(
        self, scores: Sequence[float], values: Sequence[Mapping[str, Any]], env_steps: int, numbers: Sequence[int]
    ) -> None:
        self._chosen, self._fitted = [], None
        for number, score, own in zip(numbers, scores, values, strict=True):
            before = self._before.get(number)
            if before is not None and math.isfinite(score) and all(name in own for name in self._numbers):
                self._rows.append([float(env_steps), score - before, *self._unit(own)])
        self._rows = self._rows[-MOST:]
        self._before = {n: score for n, score in zip(numbers, scores, strict=True) if math.isfinite(score)}

    def _decided(self, scores: Sequence[float], donors: Mapping[int, int]) -> None:
        self._before |= {number: scores[donor] for number, donor in donors.items()}

    def _explored(self, values: Mapping[str, Any], generator: np.random.Generator, env_steps: int) -> dict[str, Any]:
        moved = super()._explored(values, generator, env_steps)
        if len(self._rows) < FEWEST or not self._numbers or not all(name in values for name in self._numbers):
            return moved
        best = self._best(generator, env_steps)
        self._chosen.append(best)
        return moved | {name: from_unit(self._range(name), one) for name, one in zip(self._numbers, best, strict=True)}

    def _best(self, generator: np.random.Generator, env_steps: int) -> list[float]:
        process, scale = self._fitted = self._fitted or self._process(env_steps)
        now = env_steps / scale
        if self._chosen:
            process = process.with_believed(np.array([[*point, now] for point in self._chosen]))
        points = np.asarray(generator.random((CANDIDATES, len(self._numbers))))
        for _ in range(2):  # the second time around the best point
            mean, deviation = process.posterior(np.column_stack([points, np.full(len(points), now)]))
            best = points[int(np.argmax(mean + self._deviations * deviation))]
            near = best + 0.05 * generator.standard_normal((CANDIDATES // 4, len(self._numbers)))
            points = np.clip(np.concatenate([best[None], near]), 0, 1)
        return [float(number) for number in best]

    def _process(self, env_steps: int) -> tuple[GaussianProcess, float]:
        """Return the process over (values, time), and the environment steps of a unit of its time."""
        from tuneexp.statistics.gaussian_process import fitted  # with scipy: a wrong command line needs none

        rows: Floats = np.array(self._rows, dtype=np.float64)
        scale = float(max(env_steps, rows[:, 0].max(), 1))
        changes = rows[:, 1]
        spread = float(changes.std()) or 1.0
        points = np.column_stack([rows[:, 2:], rows[:, 0] / scale])
        return fitted(points, (changes - changes.mean()) / spread, np.zeros(len(rows))), scale

    def _unit(self, values: Mapping[str, Any]) -> list[float]:
        return [to_unit(self._range(name), values[name]) for name in self._numbers]

    def _range(self, name: str) -> Range:
        found = self.space[name]
        assert isinstance(found, Range)
        return found

    def state(self) -> dict[str, Any]:
        return {"rows": self._rows, "before": {str(number): score for number, score in self._before.items()}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._rows = [list(row) for row in state["rows"]]
        self._before = {int(number): score for number, score in state["before"].items()}
