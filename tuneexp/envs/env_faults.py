"""Environment faults during a trial, with environment, seed and reason."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import Env
from numpy.typing import NDArray

from tuneexp.envs.frame_stack import frame_stack_of
from tuneexp.errors import EnvironmentFault, reason_of


def fault(env: str, who: str, reason: str) -> EnvironmentFault:
    return EnvironmentFault(f"environment {env}, {who}: {reason}")


def raised(env: str, who: str, doing: str, error: BaseException) -> EnvironmentFault:
    return fault(env, who, f"{doing} raised {reason_of(error)}")


def require_finite(
    env: str, who: Callable[[int], str], values: NDArray[Any], what: str, action: NDArray[Any] | None
) -> None:
    """Raise a fault for the first environment with a value that is not finite.

    Args:
        env: Name of the environment.
        who: Function from a row to its seed and index.
        values: Results of the environments, [S * N, ...].
        what: Their name.
        action: Actions before, [S, N, ...]; None: a reset.
    """
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if not bad.any():
        return
    row = int(bad.nonzero()[0][0])
    shown = np.array2string(values[row], threshold=8, precision=3)
    blame = ""
    if action is not None and not np.isfinite(action.reshape(len(values), -1)[row]).all():
        blame = " after the policy chose a non-finite action"
    raise fault(env, who(row), f"the {what} is not finite: {shown}{blame}")


def require_finite_steps(
    env: str, who: Callable[[int], str], obs: NDArray[Any], reward: NDArray[Any], action: NDArray[Any]
) -> None:
    """As `require_finite`, for the results of many steps, [T, S, N, ...] each, at the first step with a fault."""
    if isfinite(reward.sum()) and (obs.dtype.kind != "f" or isfinite(obs.sum())):
        return
    for step, taken in enumerate(action):
        require_finite(env, who, reward[step].reshape(-1), "reward", taken)
        require_finite(env, who, obs[step].reshape(taken.shape[0] * taken.shape[1], -1), "observation", taken)


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
