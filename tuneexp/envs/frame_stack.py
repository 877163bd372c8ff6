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
    """Length of the stack that the first axis of an observation is, newest frame last; None where it is no stack.

    A stack is known by gymnasium's FrameStackObservation, or by an attribute `frame_stack` of the environment or
    wrapper that makes it. It counts only where no other wrapper around it may change the observations."""
    while True:
        if isinstance(env, FrameStackObservation):
            return int(env.stack_size)
        declared = getattr(env, "frame_stack", None)
        if declared is not None:
            return int(declared)
        if not (isinstance(env, Wrapper) and isinstance(env, _PASSING)):
            return None
        env = env.env
