"""Target networks: parameters that follow the online ones with a lag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.hyper import CfgView


@dataclass(frozen=True)
class TargetUpdate:
    """target <- (1 - tau) * target + tau * online, once in `every` gradient updates or environment steps.

    Environment steps are counted as Stable-Baselines3's DQN does: a step of all N environments at once is N of them, so
    that the target moves once in max(every // N, 1) such steps.

    `tau` and `every` are numbers or names of fields of the configuration. Lillicrap et al. 2016, section 3
    (tau below 1); Mnih et al. 2015 (tau 1: a copy)."""

    tau: float | str = 1.0
    every: int | str = 1
    unit: Literal["updates", "env_steps"] = "updates"


def value_of(number: float | int | str, cfg: CfgView) -> float:
    """A number, or the field of that name."""
    return float(getattr(cfg, number)) if isinstance(number, str) else number


class TargetNetworks:
    """The lagging copy of a stack. `leaves`: name -> [S, ...]."""

    def __init__(self, online: FlatStack, update: TargetUpdate, cfg: CfgView) -> None:
        self._online, self._unit = online, update.unit
        self._tau = float(value_of(update.tau, cfg))
        self._period = max(1, int(value_of(update.every, cfg)))
        self._n_envs = int(cfg.n_envs) if update.unit == "env_steps" else 1
        self.flat = online.flat.clone()
        self.leaves = online.split(self.flat)

    def after_update(self, n_updates: int, proceed: Tensor | None) -> None:
        """n_updates: counted from 1. proceed: [S] bool, the seeds that took it; None means all."""
        if self._unit == "updates" and n_updates % self._period == 0:
            self.follow(self._tau, proceed)

    def before_rollout(self, env_steps: int, rollout_env_steps: int, proceed: Tensor) -> None:
        """As many moves as fall into the rollout from `env_steps` on: at once, since the online parameters don't change
        while it is collected."""
        if self._unit != "env_steps":
            return
        period = max(1, self._period // self._n_envs)
        first, after = env_steps // self._n_envs, (env_steps + rollout_env_steps) // self._n_envs
        moves = after // period - first // period
        if moves:
            self.follow(1.0 - (1.0 - self._tau) ** moves, None if proceed.all() else proceed)

    def follow(self, tau: float, proceed: Tensor | None = None) -> None:
        """proceed: [S] bool, the seeds whose target moves; None means all."""
        if proceed is None:
            self._move(self.flat, tau)
            return
        moved = self.flat.clone()
        self._move(moved, tau)
        # Selected, not multiplied: a diverged seed's NaN stays its own.
        self.flat.copy_(torch.where(self._online.per_element(proceed), moved, self.flat))

    def _move(self, flat: Tensor, tau: float) -> None:
        if tau >= 1.0:
            flat.copy_(self._online.flat)
        else:
            flat.lerp_(self._online.flat, tau)
