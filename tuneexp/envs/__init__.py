"""Environments: S x N of them with a leading seed axis, their statistics and their normalisation."""

from tuneexp.envs.env_factory import describe_env
from tuneexp.envs.seed_envs import SeedEnvs, Step

__all__ = ["SeedEnvs", "Step", "describe_env"]
