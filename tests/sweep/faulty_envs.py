"""CartPole with one fault: the first process that finds the flag file removes it and fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Wrapper
from gymnasium.envs.classic_control import CartPoleEnv


class _FailsOnce(Wrapper[Any, Any, Any, Any]):
    def __init__(self, flag: str, at_step: int = 300) -> None:
        super().__init__(CartPoleEnv())
        self.flag, self.at_step, self.steps = Path(flag), at_step, 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        if self.steps >= self.at_step and self._take_flag():
            return self.fail(super().step(action))
        return super().step(action)

    def _take_flag(self) -> bool:
        try:
            self.flag.unlink()
        except FileNotFoundError:
            return False
        return True

    def fail(self, step: Any) -> Any:
        raise NotImplementedError


class Breaks(_FailsOnce):
    """The first instance raises and leaves a flag for the next one, which returns NaN."""

    def __init__(self, flag: str) -> None:
        super().__init__(flag)
        self.raised = Path(f"{flag}-raised")

    def fail(self, step: Any) -> Any:
        if self.raised.exists():
            observation, *rest = step
            return np.full_like(observation, np.nan), *rest
        self.raised.touch()
        self.flag.touch()
        raise ValueError("the pole broke")


class TakesTheWorkerDown(_FailsOnce):
    def fail(self, step: Any) -> Any:
        os._exit(1)
