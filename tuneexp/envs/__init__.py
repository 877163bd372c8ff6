"""Environments: S x N of them with a leading seed axis, their statistics and their normalisation."""

from tuneexp.envs.seed_envs import SeedEnvs, Step
from tuneexp.envs.sources import describe_env

__all__ = ["SeedEnvs", "Step", "describe_env"]
