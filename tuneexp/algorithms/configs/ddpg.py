"""Hyperparameters of DDPG."""

from __future__ import annotations

from tuneexp.algorithms.configs.deterministic import DeterministicConfig


class DDPGConfig(DeterministicConfig):
    pass
