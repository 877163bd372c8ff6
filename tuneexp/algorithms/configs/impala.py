"""Hyperparameters of IMPALA."""

from __future__ import annotations

from typing import ClassVar

from tuneexp.algorithms.configs.off_policy_actor_critic import OffPolicyActorCriticConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class IMPALAConfig(OffPolicyActorCriticConfig):
    """Fragments of 20 steps as in the paper; the other defaults are those of RLlib, whose Adam needs no tuning of an
    epsilon where the paper's RMSprop does (its table D.1 searches it). RLlib halves the value loss: its 0.5 is 0.25
    here."""

    learning_rate: PositiveScheduledFloat = numeric(5e-4, "Step size of the optimizer; a number or linear:0.001.")
    n_steps: int = structural(20, "Steps per environment in one rollout, over which V-trace looks ahead.", ge=1)
    max_grad_norm: float | None = numeric(40.0, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)

    n_epochs: ClassVar[int] = 1  # each rollout is used once, whole

    def minibatch_rows(self) -> int:
        return self.in_sequences(self.rollout_rows())
