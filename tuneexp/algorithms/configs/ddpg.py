"""Hyperparameters of DDPG."""

from __future__ import annotations

from tuneexp.algorithms.configs.deterministic import DeterministicConfig


class DDPGConfig(DeterministicConfig):
    """Defaults are those of Stable-Baselines3, but for the exploration noise."""
