"""Options of the schedulers that halve at rungs."""

from __future__ import annotations

from pydantic import Field

from tuneexp.config import Config, Count
from tuneexp.errors import UserError
from tuneexp.sweep.search.schedulers.racing import Bounds, SeedRacing
from tuneexp.sweep.search.schedulers.rungs import geometric_levels
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext


class HalvingOptions(Config):
    """Options of all schedulers that halve at rungs."""

    reduction_factor: float = Field(3, gt=1, le=100, description="One in so many trials continues beyond a rung.")
    grace_env_steps: Count | None = Field(
        None,
        ge=1,
        description="Environment steps per seed of the first rung; by default the budget / reduction_factor**2.",
    )

    seeds: SeedRacing | None = Field(
        None,
        description="Racing on seeds: {start: 1, final: 8}. A trial starts on few of its seeds, and gets more at each "
        "rung that it passes. By default all seeds start together.",
    )

    def cohorts(self, context: SchedulerContext) -> list[dict[str, int]]:
        """Return the cohorts of seeds of each trial; none without racing. Raises `UserError` if they do not fit."""
        return [] if self.seeds is None else self.seeds.cohorts(self.levels(context), context)

    def bounds(self) -> Bounds:
        """Return the bounds by which trials are compared."""
        return Bounds(0.0 if self.seeds is None else self.seeds.standard_errors)

    def levels(self, context: SchedulerContext) -> list[int]:
        """Return the environment steps of the rungs. UserError for a first rung at the budget or above."""
        budget = context.budget_env_steps
        check_grace(self.grace_env_steps, budget)
        first = self.grace_env_steps or max(1, int(budget / self.reduction_factor**2))
        return geometric_levels(first, self.reduction_factor, budget)


def check_grace(grace_env_steps: int | None, budget_env_steps: int) -> None:
    """Raise UserError if the first comparison is at the budget or above."""
    if grace_env_steps is not None and grace_env_steps >= budget_env_steps:
        raise UserError(f"grace_env_steps={grace_env_steps} is no less than the budget of {budget_env_steps} env steps")
