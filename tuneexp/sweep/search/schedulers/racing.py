"""Racing on seeds: trials start on few seeds, and survivors get more. Pure functions of rungs and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from tuneexp.config import Config, Count
from tuneexp.errors import UserError
from tuneexp.sweep.search.objectives import Score
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext
from tuneexp.trial.one_process import RACING, refuse_processes


class SeedRacing(Config):
    """Seeds of a trial at the start and at the end of its budget."""

    start: Count = Field(1, ge=1, description="Seeds of a trial up to the first rung.")
    final: Count | None = Field(
        None, ge=1, description="Seeds of a trial beyond the last rung; by default, and at most, those of the sweep."
    )
    standard_errors: float = Field(
        1.0,
        ge=0,
        le=10,
        description="A trial is compared by its objective plus so many standard errors over its seeds.",
    )

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, asked: Any) -> Any:
        if not isinstance(asked, Mapping | SeedRacing):
            raise ValueError(f"write {{start: 1}}, the number of seeds at the start, not {asked!r}")
        return asked

    def cohorts(self, levels: Sequence[int], context: SchedulerContext) -> list[dict[str, int]]:
        """Return the cohorts of each trial: `seeds` that join at `from_env_steps`.

        Args:
            levels: Environment steps of the rungs.
            context: Facts of the sweep.

        Raises:
            UserError: The numbers of seeds do not fit each other or the sweep.
        """
        final = self.final or context.seeds
        if final != context.seeds:
            raise UserError(
                f"seeds/final={final}, but the sweep has {context.seeds} seed(s); write --seeds {final}, or leave out "
                "seeds/final"
            )
        if self.start > final:
            raise UserError(
                f"seeds/start={self.start} is more than the {final} seed(s) at the end; write --seeds {self.start} or "
                f"more, or seeds/start={final}"
            )
        if final == 1:
            raise UserError("racing on seeds needs two seeds or more; write --seeds 8, or leave out the option seeds")
        if context.objectives > 1:
            raise UserError(
                f"racing on seeds compares one objective, and there are {context.objectives}; leave out the option "
                "seeds"
            )
        numbers = np.diff(totals(self.start, final, len(levels)), prepend=0)
        return [
            {"from_env_steps": int(level), "seeds": int(number)}
            for level, number in zip([0, *levels], numbers, strict=True)
            if number
        ]


def totals(start: int, final: int, rungs: int) -> list[int]:
    """Return the number of seeds before the first rung and after each rung, growing by about the same factor.

    Without a rung there are `final` seeds: nothing stops a trial before its end."""
    if not rungs:
        return [final]
    return [round(start * (final / start) ** (place / rungs)) for place in range(rungs + 1)]


def check_racing(varies_budget: bool, fixed: Mapping[str, Any]) -> None:
    """Raise `UserError` for a sweep whose trials can't get more seeds.

    Args:
        varies_budget: The budget is a hyperparameter of the space.
        fixed: Hyperparameters that all trials share.
    """
    if varies_budget:
        raise UserError("racing on seeds needs one budget for all trials; leave out budget_env_steps in the space")
    refuse_processes(fixed, *RACING)


class Spread(NamedTuple):
    """Variance of the mean of a trial's objective over its seeds.

    variance: over seeds, of one seed; None with one seed. seeds: their number."""

    variance: float | None
    seeds: int


class Bounds:
    """Upper confidence bounds of objectives over seeds.

    Variances of few seeds are moderated by those of the other trials (Smyth 2004), so that a trial of one seed has a
    standard error, too: as soon as some trial has two seeds.

    standard_errors: distance of the bound from the objective."""

    def __init__(self, standard_errors: float) -> None:
        self.standard_errors = standard_errors
        self._spreads: dict[str, Spread] = {}

    def note(self, trial_id: str, standard_error: float | None, seeds: int) -> None:
        """Note the standard error of the last report of a trial. None: it has one seed."""
        variance = None if standard_error is None else standard_error**2 * seeds
        before = self._spreads.get(trial_id)
        if variance is not None or before is None or before.variance is None:
            self._spreads[trial_id] = Spread(variance, seeds)

    def upper(self, trial_id: str, objective: Score) -> Score:
        """Return the upper bound of a trial's objective; several objectives stay as they are."""
        if isinstance(objective, tuple) or not self.standard_errors or trial_id not in self._spreads:
            return objective
        from tuneexp.statistics.variances import moderated_variances  # with scipy: a wrong command line needs none

        places = {one: place for place, one in enumerate(self._spreads)}
        spreads = list(self._spreads.values())
        variances = np.array([np.nan if one.variance is None else one.variance for one in spreads])
        freedom = np.array([max(1, one.seeds - 1) for one in spreads], np.float64)
        own = moderated_variances(variances, freedom)[places[trial_id]] / self._spreads[trial_id].seeds
        return objective + self.standard_errors * float(own) ** 0.5

    def state(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        return {trial_id: list(spread) for trial_id, spread in self._spreads.items()}

    def set_state(self, state: Mapping[str, Sequence[Any]]) -> None:
        """Continue from the result of `state`."""
        self._spreads = {trial_id: Spread(*spread) for trial_id, spread in state.items()}
