"""Target networks: Polyak averages or periodic copies of the online parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.hyper import CfgView


@dataclass(frozen=True)
class TargetUpdate:
    """Rule of the target networks: target <- (1 - tau) * target + tau * online.

    Lillicrap et al. 2016 (arXiv:1509.02971), section 3, for tau below 1. Mnih et al. 2015 (doi:10.1038/nature14236),
    algorithm 1, for tau 1.

    Args:
        tau: Polyak coefficient; 1 is a hard copy. A number, or the name of a field of the configuration.
        every: updates or environment steps from one move to the next. A number, or the name of a field.
        unit: of `every`. Environment steps are counted as in Stable-Baselines3's DQN: one step of N environments is N
            steps, so that the target moves once in max(every // N, 1) of them.
    """

    tau: float | str = 1.0
    every: int | str = 1
    unit: Literal["updates", "env_steps"] = "updates"


def value_of(number: float | int | str, cfg: CfgView) -> float:
    """Return a number, or the value of the field of that name."""
    return float(getattr(cfg, number)) if isinstance(number, str) else number


class TargetNetworks:
    """Target copy of a stack of parameters. `leaves`: name -> [S, ...]."""

    def __init__(self, online: FlatStack, update: TargetUpdate, cfg: CfgView) -> None:
        self._online, self._unit = online, update.unit
        self._tau = float(value_of(update.tau, cfg))
        self._period = max(1, int(value_of(update.every, cfg)))
        self._n_envs = int(cfg.n_envs) if update.unit == "env_steps" else 1
        self.flat = online.flat.clone()
        self.leaves = online.split(self.flat)

    @property
    def moves_with_updates(self) -> bool:
        """True if gradient updates move the target, not environment steps."""
        return self._unit == "updates"

    def rates(self, done: int, n_updates: int) -> Tensor:
        """Return the coefficient of each of the coming updates [U], 0 where the target stays.

        Args:
            done: updates before.
            n_updates: coming updates (U).
        """
        if self._period == 1:
            return torch.full((n_updates,), self._tau)
        moves = [(done + update) % self._period == 0 for update in range(1, n_updates + 1)]
        return torch.tensor([self._tau if move else 0.0 for move in moves])

    def after_update(self, n_updates: int, proceed: Tensor | None) -> None:
        """Move after a gradient update. n_updates: counted from 1. proceed: [S] bool, the updated seeds; None: all."""
        if self.moves_with_updates and n_updates % self._period == 0:
            self.follow(self._tau, proceed)

    def before_rollout(self, env_steps: int, rollout_env_steps: int, proceed: Tensor) -> None:
        """Make all moves of a rollout at once, where environment steps move the target: online parameters are constant
        while it is collected.

        Args:
            env_steps: per seed, done before the rollout.
            rollout_env_steps: per seed, of the rollout.
            proceed: [S] bool, the seeds whose target moves.
        """
        period = max(1, self._period // self._n_envs)
        first, after = env_steps // self._n_envs, (env_steps + rollout_env_steps) // self._n_envs
        moves = after // period - first // period
        if moves:
            self.follow(1.0 - (1.0 - self._tau) ** moves, None if proceed.all() else proceed)

    def follow(self, tau: float, proceed: Tensor | None = None) -> None:
        """Move the target by `tau`. proceed: [S] bool, the seeds whose target moves; None: all."""
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
