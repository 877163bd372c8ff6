"""Hyperparameters of DQN, and those that QR-DQN shares with it."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tuneexp.algorithms.configs.off_policy import TRAIN_FREQ, OffPolicyConfig, TrainFreq
from tuneexp.algorithms.networks import QNetworkConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class QLearningConfig(OffPolicyConfig):
    """Hyperparameters that DQN and QR-DQN share. Defaults are those of Stable-Baselines3."""

    learning_rate: PositiveScheduledFloat = numeric(
        1e-4, "Learning rate of the optimizer; a number or a schedule such as linear:0.001."
    )
    batch_size: int = structural(32, "Minibatch size in transitions.", ge=2)
    train_freq: TrainFreq = structural(4, TRAIN_FREQ)
    tau: float = numeric(1.0, "Polyak coefficient of the target network; 1 is a hard copy.", gt=0.0, le=1.0)
    target_update_interval: int = structural(
        10_000,
        "Environment steps per seed between target network updates; at most one update per step of all environments.",
        ge=1,
    )
    exploration_fraction: float = numeric(
        0.1, "Fraction of the budget over which epsilon is annealed linearly.", gt=0.0, le=1.0
    )
    exploration_initial_eps: float = numeric(1.0, "Initial epsilon: probability of a random action.", ge=0.0, le=1.0)
    exploration_final_eps: float = numeric(0.05, "Final epsilon: probability of a random action.", ge=0.0, le=1.0)
    max_grad_norm: float | None = numeric(10.0, "Maximum gradient norm, clipped per seed; None: no clipping.", gt=0.0)
    double: bool = structural(
        False,
        "Double Q-learning: the online network selects the next action (van Hasselt et al. 2016, arXiv:1509.06461).",
    )
    dueling: bool = structural(
        False, "Dueling network: separate value and advantage streams (Wang et al. 2016, arXiv:1511.06581)."
    )
    noisy: bool = structural(
        False, "Noisy networks (Fortunato et al. 2018, arXiv:1706.10295) instead of epsilon-greedy exploration."
    )
    model: QNetworkConfig = structural(QNetworkConfig(), "Network architecture.")


class DQNConfig(QLearningConfig):
    """DQN with the extensions of Rainbow as options."""

    distributional: bool = structural(
        False, "Categorical return distribution (C51; Bellemare et al. 2017, arXiv:1707.06887)."
    )
    n_atoms: int = structural(51, "Number of atoms of the C51 distribution.", ge=2)
    v_min: float = numeric(-10.0, "Smallest atom of the C51 distribution, in units of the return.")
    v_max: float = numeric(10.0, "Largest atom of the C51 distribution, in units of the return.")

    @model_validator(mode="after")
    def _some_range(self) -> Self:
        if self.v_min >= self.v_max:
            raise ValueError(
                f"v_min={self.v_min:g} is not below v_max={self.v_max:g}; write the smallest and the "
                "largest return to expect, as in v_min=-10 v_max=10"
            )
        return self
