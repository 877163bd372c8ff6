"""Hyperparameters of IMPALA."""

from __future__ import annotations

from typing import ClassVar

from tuneexp.algorithms.configs.vtrace import VTraceConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class IMPALAConfig(VTraceConfig):
    """Rollouts of 20 steps as in the paper; the other defaults are those of RLlib.

    RLlib's Adam needs no tuned epsilon, unlike the RMSprop of the paper (searched in its table D.1). RLlib halves the
    value loss: its vf_loss_coeff of 0.5 is 0.25 here.
    """

    learning_rate: PositiveScheduledFloat = numeric(
        5e-4, "Learning rate of the optimizer; a number or a schedule such as linear:0.001."
    )
    n_steps: int = structural(20, "Rollout length: steps per environment, the horizon of V-trace.", ge=1)
    max_grad_norm: float | None = numeric(40.0, "Maximum gradient norm, clipped per seed; None: no clipping.", gt=0.0)

    n_epochs: ClassVar[int] = 1  # one update on the whole rollout

    def minibatch_rows(self) -> int:
        return self.in_sequences(self.rollout_rows())
