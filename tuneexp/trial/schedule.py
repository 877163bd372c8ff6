"""Schedule of a trial: hyperparameters that change at given environment steps."""

from __future__ import annotations

from tuneexp.nesting import merged, nested
from tuneexp.trial.trial_config import TrialConfig


def changes_due(config: TrialConfig, env_steps: int) -> int:
    """Return the number of changes of a schedule that are in force after `env_steps` environment steps per seed."""
    return sum(change["env_steps"] <= env_steps for change in config.schedule)


def in_force(config: TrialConfig, changes: int) -> TrialConfig:
    """Return the configuration with the hyperparameters of the first `changes` of its schedule."""
    values = config.hyperparameters
    for change in config.schedule[:changes]:
        values = merged(values, nested(change["values"]))
    return config.model_copy(update={"hyperparameters": values})
