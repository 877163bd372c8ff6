"""Hyperparameters that TD3 and DDPG share."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.algorithms.networks import OffPolicyNetworksConfig
from tuneexp.config import numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat


class DeterministicNetworksConfig(OffPolicyNetworksConfig):
    """The sizes of Lillicrap et al. 2016 and of Stable-Baselines3."""

    hidden_sizes: tuple[PositiveInt, ...] | None = structural(
        None, "Units of each hidden layer of the actor; None: [400, 300], for images [256, 256]."
    )


class DeterministicConfig(OffPolicyConfig):
    """Defaults are those of Stable-Baselines3, but for the exploration noise, which it leaves out unless told."""

    learning_rate: PositiveScheduledFloat = numeric(1e-3, "Step size of the optimizer; a number or linear:0.001.")
    tau: float = numeric(0.005, "Share of the way that the target networks move at each of their moves.", gt=0.0, le=1)
    noise_type: Literal["normal", "ornstein-uhlenbeck"] = structural(
        "normal", "Exploration noise: of each step alone, or a process over steps that starts anew with each episode."
    )
    noise_std: float = numeric(0.1, "Deviation of the exploration noise; actions reach from -1 to 1.", ge=0.0)
    model: DeterministicNetworksConfig = structural(DeterministicNetworksConfig(), "The networks.")
