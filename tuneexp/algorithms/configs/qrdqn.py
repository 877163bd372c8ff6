"""Hyperparameters of QR-DQN."""

from __future__ import annotations

from tuneexp.algorithms.configs.dqn import QLearningConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class QRDQNConfig(QLearningConfig):
    """Defaults are those of sb3_contrib."""

    learning_rate: PositiveScheduledFloat = numeric(
        5e-5, "Learning rate of the optimizer; a number or a schedule such as linear:0.001."
    )
    exploration_fraction: float = numeric(
        0.005, "Fraction of the budget over which epsilon is annealed linearly.", gt=0.0, le=1.0
    )
    exploration_final_eps: float = numeric(0.01, "Final epsilon: probability of a random action.", ge=0.0, le=1.0)
    max_grad_norm: float | None = numeric(None, "Maximum gradient norm, clipped per seed; None: no clipping.", gt=0.0)
    n_quantiles: int = structural(200, "Number of quantiles of the return of each action.", ge=2)
