"""Hyperparameters of V-trace actor-critics: IMPALA and APPO."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tuneexp.algorithms.configs.rollouts import RolloutConfig
from tuneexp.config import numeric, structural


class VTraceConfig(RolloutConfig):
    """Rollouts that are corrected by V-trace for the lag of the policy that collected them.

    Names follow PPO's and A2C's; those of V-trace are the paper's.
    """

    gae_lambda: float = numeric(1.0, "Lambda of V-trace: 0 is one-step TD, 1 is full V-trace.", ge=0.0, le=1.0)
    clip_rho: float = numeric(1.0, "Upper bound of the importance weights of TD errors (rho bar of V-trace).", gt=0.0)
    clip_c: float = numeric(1.0, "Upper bound of the importance weights of the trace (c bar of V-trace).", ge=0.0)
    ent_coef: float = numeric(0.01, "Entropy coefficient: weight of the entropy bonus in the loss.", ge=0.0)
    vf_coef: float = numeric(0.5, "Value function coefficient: weight of the value loss.", ge=0.0)

    max_requests_in_flight_per_env_runner: int = structural(
        2,
        "Maximum number of pending sample requests of each env runner; 1: it is idle while the learner updates.",
        ge=1,
    )

    @model_validator(mode="after")
    def _equal_shares(self) -> Self:
        """A training step combines fragments of any runners, so all need one shape."""
        if self.num_env_runners and self.n_envs % self.num_env_runners:
            more = -(-self.n_envs // self.num_env_runners) * self.num_env_runners
            fewer = max(n for n in range(1, min(self.num_env_runners, self.n_envs) + 1) if self.n_envs % n == 0)
            raise ValueError(
                f"n_envs={self.n_envs} is no multiple of num_env_runners={self.num_env_runners}; "
                f"write n_envs={more}, or num_env_runners={fewer}"
            )
        return self

    def sequence_steps(self) -> int:
        return super().sequence_steps() or self.n_steps
