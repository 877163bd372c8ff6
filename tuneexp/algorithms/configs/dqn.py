"""Hyperparameters of DQN, and those that it shares with QR-DQN."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tuneexp.algorithms.configs.off_policy import TRAIN_FREQ, OffPolicyConfig, TrainFreq
from tuneexp.algorithms.networks import QNetworkConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class QLearningConfig(OffPolicyConfig):
    """Hyperparameters that DQN and QR-DQN share. Defaults are those of Stable-Baselines3."""

    learning_rate: PositiveScheduledFloat = numeric(1e-4, "Step size of the optimizer; a number or linear:0.001.")
    batch_size: int = structural(32, "Rows of one minibatch.", ge=2)
    train_freq: TrainFreq = structural(4, TRAIN_FREQ)
    tau: float = numeric(1.0, "Share of the way that the target network moves; 1: a copy.", gt=0.0, le=1.0)
    target_update_interval: int = structural(
        10_000,
        "Environment steps per seed between moves of the target; at most one in a step of all environments.",
        ge=1,
    )
    exploration_fraction: float = numeric(0.1, "Share of the budget over which exploration falls.", gt=0.0, le=1.0)
    exploration_initial_eps: float = numeric(1.0, "Share of random actions at first.", ge=0.0, le=1.0)
    exploration_final_eps: float = numeric(0.05, "Share of random actions at last.", ge=0.0, le=1.0)
    max_grad_norm: float | None = numeric(10.0, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)
    double: bool = structural(False, "Let the online network choose the next action (van Hasselt et al. 2016).")
    dueling: bool = structural(False, "State value and advantages apart in the network (Wang et al. 2016).")
    noisy: bool = structural(False, "Explore by noisy weights (Fortunato et al. 2018) instead of random actions.")
    model: QNetworkConfig = structural(QNetworkConfig(), "The network.")


class DQNConfig(QLearningConfig):
    distributional: bool = structural(
        False, "Learn the distribution of returns over atoms (C51, Bellemare et al. 2017)."
    )
    n_atoms: int = structural(51, "Atoms of that distribution.", ge=2)
    v_min: float = numeric(-10.0, "Smallest return of that distribution.")
    v_max: float = numeric(10.0, "Largest return of that distribution.")

    @model_validator(mode="after")
    def _some_range(self) -> Self:
        if self.v_min >= self.v_max:
            raise ValueError(
                f"v_min={self.v_min:g} is not below v_max={self.v_max:g}; write the smallest and the "
                "largest return to expect, as in v_min=-10 v_max=10"
            )
        return self
