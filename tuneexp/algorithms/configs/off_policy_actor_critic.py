"""Hyperparameters that IMPALA and APPO share."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tuneexp.algorithms.configs.actor_critic import OnPolicyConfig
from tuneexp.config import numeric, structural


class OffPolicyActorCriticConfig(OnPolicyConfig):
    """Names follow PPO's and A2C's; what V-trace adds is named as in the paper."""

    gae_lambda: float = numeric(1.0, "Weight of longer returns in V-trace: 0 one step, 1 all.", ge=0.0, le=1.0)
    clip_rho: float = numeric(1.0, "Bound on the ratio of probabilities that weighs each step's error.", gt=0.0)
    clip_c: float = numeric(1.0, "The same of the ratios that carry errors back over earlier steps.", ge=0.0)
    ent_coef: float = numeric(0.01, "Weight of the entropy bonus.", ge=0.0)
    vf_coef: float = numeric(0.5, "Weight of the value loss.", ge=0.0)

    max_requests_in_flight_per_env_runner: int = structural(
        2, "Fragments that each env runner is asked for ahead; 1: it rests while the learner learns.", ge=1
    )

    @model_validator(mode="after")
    def _equal_shares(self) -> Self:
        """Fragments of any runners make a training step, so all are of one shape."""
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
