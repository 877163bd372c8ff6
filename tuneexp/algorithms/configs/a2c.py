"""Hyperparameters of A2C."""

from __future__ import annotations

from typing import ClassVar

from tuneexp.algorithms.configs.rollouts import RolloutConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class A2CConfig(RolloutConfig):
    """Defaults are those of Stable-Baselines3, with eight environments."""

    learning_rate: PositiveScheduledFloat = numeric(
        7e-4, "Learning rate of the optimizer; a number or a schedule such as linear:0.001."
    )
    n_steps: int = structural(5, "Rollout length: steps per environment between updates.", ge=1)
    gae_lambda: float = numeric(1.0, "GAE lambda: 0 is one-step TD, 1 is Monte Carlo.", ge=0.0, le=1.0)
    ent_coef: float = numeric(0.0, "Entropy coefficient: weight of the entropy bonus in the loss.", ge=0.0)
    vf_coef: float = numeric(0.5, "Value function coefficient: weight of the value loss.", ge=0.0)
    max_grad_norm: float | None = numeric(0.5, "Maximum gradient norm, clipped per seed; None: no clipping.", gt=0.0)
    use_rms_prop: bool = structural(True, "Use RMSprop as in the paper; false: Adam.")
    rms_prop_eps: float = numeric(1e-5, "Epsilon of RMSprop, added to the denominator.", gt=0.0)
    normalize_advantage: bool = structural(
        False, "Standardise advantages to mean 0 and standard deviation 1 in each rollout."
    )

    n_epochs: ClassVar[int] = 1  # one update on the whole rollout

    def minibatch_rows(self) -> int:
        return self.in_sequences(self.rollout_rows())
