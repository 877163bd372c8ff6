"""Hyperparameters of every algorithm with a replay buffer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import PositiveInt, field_validator, model_validator

from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.config import AtMost, numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat

TrainFreq = PositiveInt | tuple[PositiveInt, Literal["episode"]]
TRAIN_FREQ = (
    'Steps in each environment between phases of learning; [1, "episode"]: a seed learns when it has ended an episode.'
)


class OffPolicyConfig(AlgorithmConfig):
    """Names follow Stable-Baselines3. Steps are counted per seed, over all its environments."""

    n_envs: int = structural(1, "Parallel environments per seed.", ge=1)
    buffer_size: int = structural(
        1_000_000, "Rows of the replay buffer, per seed; reserved, filled as they come.", ge=1
    )
    learning_starts: int = structural(
        100, "Environment steps of random actions before anything is learned; may be fewer than a minibatch.", ge=0
    )
    batch_size: int = structural(256, "Rows of one minibatch.", ge=2)
    train_freq: TrainFreq = structural(1, TRAIN_FREQ)
    gradient_steps: int = structural(1, "Updates in each phase of learning; -1: one for each environment step.", ge=-1)
    n_step: int = structural(1, "Rewards summed up before the value is asked (n-step returns).", ge=1)
    prioritized: bool = structural(False, "Draw rows by their last error (Schaul et al. 2016) instead of uniformly.")
    prioritized_alpha: float = numeric(0.6, "How much the error counts when rows are drawn; 0: not at all.", ge=0, le=1)
    prioritized_beta: PositiveScheduledFloat = numeric(
        "linear:0.4:1.0", "How far importance weights correct for that; a number or linear:first:last."
    )
    max_grad_norm: float | None = numeric(None, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)
    save_replay_buffer: bool = structural(True, "Keep the buffer in checkpoints; without it collecting starts again.")

    constraints: ClassVar[tuple[AtMost, ...]] = (AtMost("batch_size", ("buffer_size",)),)

    @model_validator(mode="after")
    def _one_learner(self) -> Self:
        if self.num_learners:
            raise ValueError(
                f"num_learners={self.num_learners} is for algorithms that use each rollout once, such as ppo and a2c; "
                "the replay buffer lies in the trial's own process: write num_learners=0"
            )
        return self

    @field_validator("train_freq", mode="before")
    @classmethod
    def _steps_alone(cls, value: Any) -> Any:
        """[4, "step"] is 4."""
        in_steps = isinstance(value, list | tuple) and len(value) == 2 and value[1] == "step"
        if isinstance(value, list | tuple) and not in_steps and (len(value) != 2 or value[1] != "episode"):
            raise ValueError('write a number of steps, or [1, "episode"]')
        return value[0] if in_steps else value

    def fragment_steps(self) -> int:
        """Steps in each environment that one training step collects. Episodes may end at each."""
        return self.train_freq if isinstance(self.train_freq, int) else 1

    def phase_episodes(self) -> int | None:
        """Episodes between phases of learning; None where phases are counted in steps."""
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
