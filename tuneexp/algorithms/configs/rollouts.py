"""Hyperparameters of algorithms that learn from rollouts: PPO, A2C, IMPALA and APPO."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import model_validator

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.networks import ActorCriticConfig, refuse_custom_network
from tuneexp.config import AtMost, structural

# Gradients vanish, and compute grows, with the number of unrolled steps.
LONGEST_SEQUENCE = 32


class RolloutConfig(AlgorithmConfig):
    """Rollouts of `n_steps` for an actor-critic, which may be recurrent."""

    n_steps: int = structural(256, "Rollout length: steps per environment between updates.", ge=1)
    sequence_length: int = structural(
        16, "With model/recurrent: steps of truncated backpropagation through time; divides n_steps.",
        ge=1, le=LONGEST_SEQUENCE,
    )  # fmt: skip
    action_mask: str | None = structural(
        None, "Key of the action mask in Dict observations (0: invalid action); None: no mask."
    )
    use_sde: bool = structural(
        False,
        "State-dependent exploration (gSDE; Raffin et al. 2021, arXiv:2005.05719); continuous actions only.",
    )
    sde_sample_freq: int = structural(
        -1, "With use_sde: sample new exploration weights every n steps; -1: once per rollout.", ge=-1
    )
    model: ActorCriticConfig = structural(ActorCriticConfig(), "Network architecture.")

    @model_validator(mode="after")
    def _exploration_fits(self) -> Self:
        refuse_custom_network(self.use_sde, self.model)
        if isinstance(self.model, ActorCriticConfig) and self.model.squash_output and not self.use_sde:
            raise ValueError("model/squash_output=true belongs to use_sde; write use_sde=true, or leave it out")
        return self

    @model_validator(mode="after")
    def _whole_sequences(self) -> Self:
        length = self.sequence_steps()
        if length is not None and self.n_steps % length:
            more = -(-self.n_steps // length) * length  # a smaller one might fall below batch_size
            divisor = max(n for n in range(1, length + 1) if self.n_steps % n == 0)
            shorter = f", or sequence_length={divisor}" if divisor > 1 else ""  # sequences of 1 step learn no memory
            raise ValueError(
                f"n_steps={self.n_steps} is no multiple of sequence_length={length}; write n_steps={more}{shorter}"
            )
        return self

    @model_validator(mode="after")
    def _two_rows(self) -> Self:
        if self.rollout_rows() < 2:
            raise ValueError("n_envs * n_steps is 1, one row a rollout; write n_steps=20 or n_envs=8: 2 rows at least")
        return self

    def sequence_steps(self) -> int | None:
        # A custom network is not recurrent.
        recurrent = isinstance(self.model, ActorCriticConfig) and self.model.recurrent != "none"
        return self.sequence_length if recurrent else None

    def rollout_rows(self) -> int:
        return self.n_envs * self.n_steps

    def rollout_env_steps(self) -> int:
        return self.rollout_rows()

    def in_sequences(self, rows: int) -> int:
        """Number of sequences that hold so many rows, at least one; without recurrence the number of rows."""
        length = self.sequence_steps()
        return rows if length is None else max(1, rows // length)


class Minibatches:
    """Several epochs of minibatches over each rollout: a mixin of PPO and APPO, which declare the fields."""

    if TYPE_CHECKING:
        batch_size: int
        n_epochs: int

        def in_sequences(self, rows: int) -> int: ...
        def rollout_rows(self) -> int: ...

    # A search space keeps this constraint, too, by narrowing its suggestions.
    constraints: ClassVar[tuple[AtMost, ...]] = (AtMost("batch_size", ("n_envs", "n_steps"), refused=False),)

    def minibatch_rows(self) -> int:
        return self.in_sequences(min(self.batch_size, self.rollout_rows()))

    def updates_per_rollout(self) -> int:
        return self.n_epochs * -(-self.in_sequences(self.rollout_rows()) // self.minibatch_rows())

    def remarks(self) -> list[str]:
        rows = self.rollout_rows()
        if self.batch_size <= rows:
            return []
        return [
            f"batch_size={self.batch_size} is more than the n_envs * n_steps={rows} rows of a rollout: each minibatch "
            "is the whole rollout, as in Stable-Baselines3"
        ]
