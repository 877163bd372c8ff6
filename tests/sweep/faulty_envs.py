"""CartPole with one fault: the first process that finds the flag file removes it and fails."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, ClassVar

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


class FaultsInTurn(Wrapper[Any, Any, Any, Any]):
    """CartPole of which each trial has another fault at its 100th step: the first file of the folder, by name.

    A file is `1-slow`, `2-hangs`, `3-memory` or `4-overflow`. One that hangs leaves its file and a mark."""

    faulty: ClassVar[list[FaultsInTurn]] = []  # of this process: environments of evaluations take no second fault

    def __init__(self, folder: str) -> None:
        super().__init__(CartPoleEnv())
        self.folder, self.steps, self.fault = Path(folder), 0, ""

    def step(self, action: Any) -> Any:
        self.steps += 1
        if self.steps == 100 and not self.faulty:
            self._take()
        observation, reward, *rest = super().step(action)
        if self.fault == "slow":
            time.sleep(0.05)
        elif self.fault == "hangs":
            (self.folder / f"mark-{os.getpid()}").touch()
            time.sleep(1e6)
        elif self.fault == "memory":
            raise MemoryError
        return observation, 1e38 if self.fault == "overflow" else reward, *rest

    def _take(self) -> None:
        files = sorted(self.folder.glob("[0-9]-*"))
        if files:
            self.faulty.append(self)
            self.fault = files[0].name.partition("-")[2]
            if self.fault != "hangs":
                files[0].unlink()

    def close(self) -> None:
        self.faulty[:] = [one for one in self.faulty if one is not self]
        super().close()
