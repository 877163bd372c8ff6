"""Time of a confirmation, and the largest one within a given time. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tuneexp.sweep.planning.estimate import START_S

# Configurations of the sweep and seeds of a confirmation, the best form first.
FORMS = ((3, 10), (2, 10), (1, 10), (1, 8), (1, 6), (1, 5))


@dataclass(frozen=True)
class Costs:
    """Measured costs of training.

    Attributes:
        trial_s: Seconds of a whole trial of a sweep.
        seeds: Its seeds.
        budget_env_steps: Its budget, environment steps per seed.
        at_once: Trials that run at the same time.
    """

    trial_s: float
    seeds: int
    budget_env_steps: int
    at_once: int

    def with_budget(self, budget_env_steps: int) -> Costs:
        """Return the costs of another budget, in proportion to it."""
        share = budget_env_steps / self.budget_env_steps
        return replace(self, trial_s=self.trial_s * share, budget_env_steps=budget_env_steps)

    def confirmation_s(self, top: int, seeds: int) -> float:
        """Return the seconds of a confirmation of `top` configurations and the defaults.

        As if the cost grew in proportion to the seeds: seeds of one trial are trained together, so it is less."""
        return START_S + math.ceil((top + 1) / self.at_once) * self.trial_s * seeds / self.seeds


def form_within(costs: Costs, seconds: float, most: int = FORMS[0][0]) -> tuple[int, int]:
    """Return the number of configurations and seeds of the largest confirmation that takes at most some seconds.

    At least one configuration and five seeds, whatever it takes.

    Args:
        costs: Costs of a trial.
        seconds: Time of the confirmation.
        most: Number of configurations there are.
    """
    possible = [form for form in FORMS if form[0] <= most]
    return next((form for form in possible if costs.confirmation_s(*form) <= seconds), possible[-1])
