"""Options of population-based training."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from tuneexp.config import Config, Count
from tuneexp.errors import UserError


class PopulationOptions(Config):
    """Options of all schedulers that train a population."""

    interval_env_steps: Count | None = Field(
        None,
        ge=1,
        description="Environment steps per seed between two decisions; by default a tenth of the budget.",
    )
    quantile: float = Field(
        0.25, gt=0, le=0.5, description="Share of the members that are replaced, by members of the best such share."
    )
    explore: bool = Field(
        True, description="Move the hyperparameters of a member that is replaced; False copies those of its donor."
    )
    mutate: list[str] | None = Field(
        None, description="Hyperparameters that move; by default all searched ones that don't shape the program."
    )

    population: Literal["workers", "stacked"] = Field(
        "workers",
        description="workers: each member is a trial with a worker of its own; stacked: the whole population is one "
        "trial, whose program trains all members. Stacked members may differ in numbers only.",
    )

    def interval(self, budget_env_steps: int) -> int:
        """Return the environment steps per seed between two decisions. UserError for a whole budget or more."""
        asked = self.interval_env_steps
        if asked is not None and asked >= budget_env_steps:
            raise UserError(
                f"interval_env_steps={asked} is no less than the budget of {budget_env_steps} env steps; "
                f"write for example {max(1, budget_env_steps // 10)}"
            )
        return asked or max(1, budget_env_steps // 10)

    def replaced(self, members: int) -> int:
        """Return the number of members in the lowest quantile, and in the highest."""
        return math.ceil(self.quantile * members - 1e-9)

    def check_members(self, members: int) -> None:
        """Raise UserError if the lowest and the highest quantile of so many members overlap."""
        count = self.replaced(members)
        if members < 2:
            raise UserError(f"a population of {members} has nobody to copy from; write --trials 4 or more")
        if 2 * count > members:
            raise UserError(
                f"quantile={self.quantile:g} of a population of {members} is {count}, and the lowest {count} and the "
                f"highest {count} overlap; write --trials {2 * count} or quantile={members // 2 / members:.2g}"
            )


class PbtOptions(PopulationOptions):
    """Options of `pbt`."""

    perturbation: float = Field(
        0.2,
        gt=0,
        le=10,
        description="Size of a move: where a range is logarithmic the value is multiplied or divided by 1 + this; in "
        "a linear range this share of half its width is added or subtracted.",
    )
    resample_probability: float = Field(
        0.25, ge=0, le=1, description="Probability that a hyperparameter is drawn again instead of moved."
    )
