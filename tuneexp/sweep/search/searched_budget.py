"""The budget of a trial as a hyperparameter of the search space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from tuneexp.config import Config, Count
from tuneexp.errors import UserError
from tuneexp.sweep import defaults
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.search.space.listed import KEY

if TYPE_CHECKING:
    from tuneexp.sweep.search.space import SearchSpace

BUDGET = "budget_env_steps"
COSTS = ("wall_s", "env_steps")  # metrics that keep a search from taking the largest budget always


def varies_budget(space: Mapping[str, Any]) -> bool:
    """Return True if a stored space has the budget as a hyperparameter."""
    return BUDGET in space or any(BUDGET in one for one in space.get(KEY, {}).values())


def largest_budget(space: SearchSpace, asked: int) -> int:
    """Return the budget of a sweep: the largest one that the space has, else the setting.

    Args:
        space: The search space.
        asked: The setting `budget_env_steps`.

    Raises:
        UserError: The setting is neither the default nor the largest budget.
    """
    values = space.listed_values(BUDGET)
    if not values:
        return asked
    if not all(isinstance(value, int | float) and value == int(value) >= 1 for value in values):
        raise UserError(f"{BUDGET} in the search space is a number of environment steps; write {{int: [10000, 50000]}}")
    largest = int(max(values))
    if asked not in (largest, defaults.BUDGET_ENV_STEPS):
        raise UserError(f"the search space varies {BUDGET} up to {largest}; leave out --env-steps {asked}")
    return largest


def check_searched_budget(space: SearchSpace, objectives: Objectives) -> None:
    """Check that a cost is an objective or bounded if the budget is varied.

    Raises:
        UserError: It is not: the largest budget would always be the best one.
    """
    if BUDGET in space.dimensions and not {*COSTS} & {*objectives.metrics}:
        raise UserError(
            f"the search space varies {BUDGET}, and the largest is the best where time costs nothing; "
            "add --objective wall_s:min, or --constraint 'wall_s<=600'"
        )


def with_budget(config_class: type[Config], space: SearchSpace) -> type[Config]:
    """Return the configuration class with the budget as a field if the space varies it."""
    if not space.listed_values(BUDGET):
        return config_class
    field: Any = (Count, Field(defaults.BUDGET_ENV_STEPS, ge=1, description="Budget of a trial."))
    return create_model(config_class.__name__, __base__=config_class, **{BUDGET: field})
