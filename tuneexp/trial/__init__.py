"""A trial: one configuration trained on S seeds at once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneexp.trial.multi_agent import MultiAgentTrial
    from tuneexp.trial.trial import Trial
    from tuneexp.trial_config import TrialConfig

# Loaded on first use: what a trial takes (`resources`) is told without torch.
_LAZY = {"MultiAgentTrial": "tuneexp.trial.multi_agent", "Trial": "tuneexp.trial.trial"}

__all__ = ["MultiAgentTrial", "Trial", "build_trial"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tuneexp.trial' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def build_trial(spec: Any, config: TrialConfig) -> Trial:
    """The trial of an algorithm of one policy, or of several."""
    from tuneexp.algorithms.multi_agent import MultiAgentSpec
    from tuneexp.envs.registration import register_again
    from tuneexp.trial.multi_agent import MultiAgentTrial
    from tuneexp.trial.trial import Trial

    register_again(config.env, config.env_registration)
    return MultiAgentTrial(spec, config) if isinstance(spec, MultiAgentSpec) else Trial(spec, config)
