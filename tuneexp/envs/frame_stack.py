"""Detection of environments whose observations are stacked frames."""

from __future__ import annotations

from typing import Any

from gymnasium import ActionWrapper, RewardWrapper, Wrapper
from gymnasium.wrappers import (
    FrameStackObservation,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
)

# Wrappers that hand on the observations of what they wrap.
_PASSING = (ActionWrapper, RewardWrapper, TimeLimit, OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics)


def frame_stack_of(env: Any) -> int | None:
    """Return the number of stacked frames along the first axis of an observation, newest last; None if it is no stack.

    A stack is recognised by gymnasium's FrameStackObservation, or by an attribute `frame_stack` of the environment or
    wrapper. Wrappers around it that may change observations disable the detection."""
    while True:
        if isinstance(env, FrameStackObservation):
            return int(env.stack_size)
        declared = getattr(env, "frame_stack", None)
        if declared is not None:
            return int(declared)
        if not (isinstance(env, Wrapper) and isinstance(env, _PASSING)):
            return None
        env = env.env
