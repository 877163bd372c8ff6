"""Hyperparameters of TD3."""

from __future__ import annotations

from tuneexp.algorithms.configs.deterministic import DeterministicConfig
from tuneexp.config import numeric, structural


class TD3Config(DeterministicConfig):
    """Defaults are those of Stable-Baselines3, but for the exploration noise."""

    policy_delay: int = structural(2, "Critic updates per update of the actor and the target networks.", ge=1)
    target_policy_noise: float = numeric(
        0.2, "Standard deviation of target policy smoothing noise; actions are in [-1, 1].", ge=0.0
    )
    target_noise_clip: float = numeric(0.5, "Clipping bound of target policy smoothing noise.", ge=0.0)
    n_critics: int = structural(
        2, "Number of critics; the minimum of their predictions is the target (clipped double Q-learning).", ge=1
    )
