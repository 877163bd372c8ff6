"""The hyperparameters that every algorithm has."""

from __future__ import annotations

from tuneexp.config import Config, numeric, structural
from tuneexp.rl.schedules import ScheduledFloat


class AlgorithmConfig(Config):
    """Names follow Stable-Baselines3 and RL Zoo, so that a published configuration can be pasted in."""

    learning_rate: ScheduledFloat = numeric(3e-4, "Step size of the optimizer; a number or linear:0.001 (decays to 0).")
    gamma: float = numeric(0.99, "Discount factor per environment step.", gt=0.0, le=1.0)
    n_envs: int = structural(8, "Parallel environments per seed.", ge=1)
    normalize_observation: bool = structural(False, "Scale observations by running mean and deviation, per seed.")
    normalize_reward: bool = structural(False, "Scale rewards by the deviation of the discounted return, per seed.")

    def rollout_env_steps(self) -> int:
        """Environment steps per seed of one training step."""
        return self.n_envs

    def updates_per_rollout(self) -> int:
        """Gradient steps of one training step, for the decision whether compiling pays."""
        return 1

    def minibatch_rows(self) -> int:
        """Rows of one gradient step per seed."""
        return self.n_envs
