"""Hyperparameters of every algorithm with a replay buffer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import PositiveInt, field_validator, model_validator

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.config import AtMost, numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat

TrainFreq = PositiveInt | tuple[PositiveInt, Literal["episode"]]
TRAIN_FREQ = 'Steps of each environment between updates; [1, "episode"]: update at the end of each episode, per seed.'


class OffPolicyConfig(AlgorithmConfig):
    """Names follow Stable-Baselines3. Environment steps are counted per seed, over all of its environments."""

    n_envs: int = structural(1, "Number of parallel environments per seed.", ge=1)
    buffer_size: int = structural(1_000_000, "Capacity of the replay buffer in transitions, per seed.", ge=1)
    learning_starts: int = structural(
        100,
        "Environment steps per seed with random actions before the first update; may be less than batch_size.",
        ge=0,
    )
    batch_size: int = structural(256, "Minibatch size in transitions.", ge=2)
    train_freq: TrainFreq = structural(1, TRAIN_FREQ)
    gradient_steps: int = structural(
        1, "Gradient steps per update phase (see train_freq); -1: one per environment step taken.", ge=-1
    )
    n_step: int = structural(1, "Number of rewards in n-step returns before the bootstrap.", ge=1)
    prioritized: bool = structural(
        False, "Prioritized experience replay (Schaul et al. 2016, arXiv:1511.05952) instead of uniform sampling."
    )
    prioritized_alpha: float = numeric(
        0.6,
        "Exponent alpha of prioritized replay: sampling probability ~ abs(TD error)^alpha; 0 is uniform.",
        ge=0,
        le=1,
    )
    prioritized_beta: PositiveScheduledFloat = numeric(
        "linear:0.4:1.0",
        "Exponent beta of prioritized replay's importance weights, 1: full correction; number or linear:first:last.",
    )
    max_grad_norm: float | None = numeric(None, "Maximum gradient norm, clipped per seed; None: no clipping.", gt=0.0)
    save_replay_buffer: bool = structural(
        True, "Store the replay buffer in checkpoints; false: a resumed trial starts with an empty one."
    )

    constraints: ClassVar[tuple[AtMost, ...]] = (AtMost("batch_size", ("buffer_size",)),)

    @model_validator(mode="after")
    def _one_learner(self) -> Self:
        if self.num_learners:
            raise ValueError(
                f"num_learners={self.num_learners} is for algorithms that use each rollout once, such as ppo and a2c; "
                "the replay buffer is in the trial's own process: write num_learners=0"
            )
        return self

    @field_validator("train_freq", mode="before")
    @classmethod
    def _steps_alone(cls, value: Any) -> Any:
        """Accept [4, "step"] for 4, as RL Zoo writes it."""
        in_steps = isinstance(value, list | tuple) and len(value) == 2 and value[1] == "step"
        if isinstance(value, list | tuple) and not in_steps and (len(value) != 2 or value[1] != "episode"):
            raise ValueError('write a number of steps, or [1, "episode"]')
        return value[0] if in_steps else value

    def fragment_steps(self) -> int:
        """Steps of each environment in one training step; with episodes as the unit 1, as one may end at each step."""
        return self.train_freq if isinstance(self.train_freq, int) else 1

    def train_freq_episodes(self) -> int | None:
        """Episodes between update phases; None if train_freq counts steps."""
        return None if isinstance(self.train_freq, int) else self.train_freq[0]

    def rollout_env_steps(self) -> int:
        return self.fragment_steps() * self.n_envs

    def updates_per_rollout(self) -> int:
        return self.rollout_env_steps() if self.gradient_steps == -1 else self.gradient_steps

    def minibatch_rows(self) -> int:
        return self.batch_size

    def problem_with_budget(self, budget_env_steps: int) -> str | None:
        if self.learning_starts < budget_env_steps:
            return None
        return (
            f"learning_starts={self.learning_starts} leaves nothing of the budget of {budget_env_steps} environment "
            f"steps to learn in; write learning_starts={budget_env_steps // 10} or less, or a larger budget"
        )
