"""A trial: one configuration trained on S seeds at once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneexp.trial.trial import Trial
    from tuneexp.trial_config import TrialConfig

__all__ = ["Trial", "build_trial"]


def __getattr__(name: str) -> Any:
    if name != "Trial":
        raise AttributeError(f"module 'tuneexp.trial' has no attribute {name!r}")
    # Loaded on first use: what a trial takes (`resources`) is told without torch.
    return importlib.import_module("tuneexp.trial.trial").Trial


def build_trial(spec: Any, config: TrialConfig) -> Trial:
    """The trial of an algorithm of one policy, or of several."""
    from tuneexp.envs.registration import register_again
    from tuneexp.trial.trial import Trial

    register_again(config.env, config.env_registration)
    return Trial(spec, config)
