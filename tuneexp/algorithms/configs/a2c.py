"""Hyperparameters of A2C."""

from __future__ import annotations

from typing import ClassVar

from tuneexp.algorithms.configs.actor_critic import OnPolicyConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class A2CConfig(OnPolicyConfig):
    """Defaults are those of Stable-Baselines3, for eight environments."""

    learning_rate: PositiveScheduledFloat = numeric(7e-4, "Step size of the optimizer; a number or linear:0.001.")
    n_steps: int = structural(5, "Steps per environment in one rollout.", ge=1)
    gae_lambda: float = numeric(1.0, "Weight of longer returns in the advantage: 0 one step, 1 all.", ge=0.0, le=1.0)
    ent_coef: float = numeric(0.0, "Weight of the entropy bonus.", ge=0.0)
    vf_coef: float = numeric(0.5, "Weight of the value loss.", ge=0.0)
    max_grad_norm: float | None = numeric(0.5, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)
    use_rms_prop: bool = structural(True, "RMSprop as in the paper; false: Adam.")
    rms_prop_eps: float = numeric(1e-5, "What RMSprop adds to the root of the mean square.", gt=0.0)
    normalize_advantage: bool = structural(False, "Scale advantages to mean 0, deviation 1 in each rollout.")

    n_epochs: ClassVar[int] = 1  # each rollout is used once, whole

    def minibatch_rows(self) -> int:
        return self.in_sequences(self.rollout_rows())
