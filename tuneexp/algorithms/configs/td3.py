"""Hyperparameters of TD3."""

from __future__ import annotations

from tuneexp.algorithms.configs.deterministic import DeterministicConfig
from tuneexp.config import numeric, structural


class TD3Config(DeterministicConfig):
    policy_delay: int = structural(2, "Updates of the critics for each one of the actor and of the targets.", ge=1)
    target_policy_noise: float = numeric(0.2, "Deviation of the noise on the target action, from -1 to 1.", ge=0.0)
    target_noise_clip: float = numeric(0.5, "Largest size of that noise.", ge=0.0)
    n_critics: int = structural(2, "Critics, of which the most pessimistic counts.", ge=1)
