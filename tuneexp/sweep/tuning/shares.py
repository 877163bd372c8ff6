"""Division of a time between a sweep and its confirmation. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tuneexp.sweep.confirming.costs import Costs, form_within
from tuneexp.sweep.planning.estimate import START_S

LARGEST_SHARE = 0.45  # of the time, for the confirmation
FEWEST_TRIALS = 8  # whole trainings for which the sweep has time
SHORTEST_BUDGET = 1000  # environment steps per seed
SHORTEST_S = 300.0


@dataclass(frozen=True)
class Shares:
    """A divided time.

    Attributes:
        budget_env_steps: Budget of a training, environment steps per seed.
        sweep_s: Seconds for the sweep.
        confirmation_s: Seconds for the confirmation.
        top: Number of configurations to confirm.
        seeds: Number of unseen seeds.
        trials: Whole trainings for which the sweep has time; early stopping makes room for more.
    """

    budget_env_steps: int
    sweep_s: float
    confirmation_s: float
    top: int
    seeds: int
    trials: int


def shares(costs: Costs, seconds: float, fixed_budget: bool = False) -> Shares | None:
    """Divide a time between a sweep and its confirmation.

    The budget of a training is halved until the sweep has time for eight whole trainings beside the confirmation.

    Args:
        costs: Measured costs.
        seconds: The whole time.
        fixed_budget: Keep the budget.

    Returns:
        The shares; None if the time is too short for the smallest budget.
    """
    now = costs
    while True:
        top, seeds = form_within(now, LARGEST_SHARE * seconds)
        confirmation_s = now.confirmation_s(top, seeds)
        sweep_s = seconds - confirmation_s
        trials = math.floor((sweep_s - START_S) * now.at_once / now.trial_s)
        if trials >= FEWEST_TRIALS and confirmation_s <= LARGEST_SHARE * seconds:
            return Shares(now.budget_env_steps, sweep_s, confirmation_s, top, seeds, trials)
        smaller = now.budget_env_steps // 2
        if fixed_budget or smaller < SHORTEST_BUDGET:
            return None
        now = now.with_budget(smaller)
