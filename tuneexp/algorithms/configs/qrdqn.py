"""Hyperparameters of QR-DQN."""

from __future__ import annotations

from tuneexp.algorithms.configs.dqn import QLearningConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class QRDQNConfig(QLearningConfig):
    """Defaults are those of sb3_contrib."""

    learning_rate: PositiveScheduledFloat = numeric(5e-5, "Step size of the optimizer; a number or linear:0.001.")
    exploration_fraction: float = numeric(0.005, "Share of the budget over which exploration falls.", gt=0.0, le=1.0)
    exploration_final_eps: float = numeric(0.01, "Share of random actions at last.", ge=0.0, le=1.0)
    max_grad_norm: float | None = numeric(None, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)
    n_quantiles: int = structural(200, "Quantiles of the return that are learned for each action.", ge=2)
