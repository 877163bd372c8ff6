"""Hyperparameters that TD3 and DDPG share."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.algorithms.networks import OffPolicyNetworksConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class DeterministicNetworksConfig(OffPolicyNetworksConfig):
    """Layer sizes of Lillicrap et al. 2016 (arXiv:1509.02971), section 7, and of Stable-Baselines3."""

    hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of each hidden layer of the actor; None: [400, 300], for images [256, 256]."
    )


class DeterministicConfig(OffPolicyConfig):
    """Defaults are those of Stable-Baselines3, but for the exploration noise, which is off there by default."""

    learning_rate: PositiveScheduledFloat = numeric(
        1e-3, "Learning rate of the optimizer; a number or a schedule such as linear:0.001."
    )
    tau: float = numeric(0.005, "Polyak coefficient of the target networks; 1 is a hard copy.", gt=0.0, le=1)
    noise_type: Literal["normal", "ornstein-uhlenbeck"] = structural(
        "normal",
        "Exploration noise: independent Gaussian, or an Ornstein-Uhlenbeck process that is reset at each episode.",
    )
    noise_std: float = numeric(
        0.1, "Standard deviation (sigma) of the exploration noise; actions are in [-1, 1].", ge=0.0
    )
    model: DeterministicNetworksConfig = structural(DeterministicNetworksConfig(), "Network architecture.")
