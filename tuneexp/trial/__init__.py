"""A trial: one configuration trained on S seeds at once."""

from __future__ import annotations

from typing import Any

from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.envs.registration import register_again
from tuneexp.trial.multi_agent import MultiAgentTrial
from tuneexp.trial.trial import Trial
from tuneexp.trial_config import TrialConfig

__all__ = ["MultiAgentTrial", "Trial", "build_trial"]


def build_trial(spec: Any, config: TrialConfig) -> Trial:
    """The trial of an algorithm of one policy, or of several."""
    register_again(config.env, config.env_registration)
    return MultiAgentTrial(spec, config) if isinstance(spec, MultiAgentSpec) else Trial(spec, config)
