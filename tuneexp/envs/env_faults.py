"""Environment faults during a trial, with environment, seed and reason."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
from gymnasium import Env

from tuneexp.envs.frame_stack import frame_stack_of
from tuneexp.errors import EnvironmentFault, reason_of


def fault(env: str, who: str, reason: str) -> EnvironmentFault:
    return EnvironmentFault(f"environment {env}, {who}: {reason}")


def raised(env: str, who: str, doing: str, error: BaseException) -> EnvironmentFault:
    return fault(env, who, f"{doing} raised {reason_of(error)}")


class NamedFaults(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Wrapper that converts exceptions of a sub-environment to `EnvironmentFault` with its seed and index.

    Works inside worker processes, too: the vector environment transfers only type and message.
    """

    def __init__(self, env: Env[Any, Any], name: str, seed: int, index: int) -> None:
        super().__init__(env)
        self._name, self._who = name, f"seed {seed}, index {index}"
        self.frame_stack = frame_stack_of(env)  # read across processes by the vector environment

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        try:
            return self.env.step(action)
        except BaseException as error:
            raise raised(self._name, self._who, "step", error) from error

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        try:
            return self.env.reset(**kwargs)
        except BaseException as error:
            raise raised(self._name, self._who, "reset", error) from error
