"""What IMPALA and APPO share: rollouts of a policy that the learner has left behind, corrected by V-trace.

Minibatches are sequences [L, B, ...], of which `mask` says which steps count: whole fragments of `n_steps`, or with a
recurrent network parts of `sequence_length`. V-trace is computed inside of the loss, from the networks as they are
then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator
from torch import Tensor

from tuneexp.algorithms.actor_critic import OnPolicyConfig
from tuneexp.config import numeric, structural
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.rl.vtrace import VTrace, vtrace


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

    @model_validator(mode="after")
    def _two_rows(self) -> Self:
        if self.rollout_rows() < 2:
            raise ValueError("n_envs * n_steps is 1, one row a rollout; write n_steps=20 or n_envs=8: 2 rows at least")
        return self

    def sequence_steps(self) -> int:
        return super().sequence_steps() or self.n_steps


def transitions_in_time(nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> dict[str, Tensor]:
    """A `postprocess_fn`: what V-trace needs of each step, [T, S, N]; nothing is computed before the loss is."""
    names = ("obs", "next_obs", "action", "log_prob", "reward", "terminated", "truncated")
    memory = ("state", "next_state", "start")
    return {name: fragment[name] for name in (*names, *memory) if name in fragment}


def corrected(net: Any, log_ratio: Tensor, value: Tensor, batch: Mapping[str, Tensor], cfg: CfgView) -> VTrace:
    """V-trace of the minibatch, [L, B], without gradients. log_ratio: of the policy that is judged to the one that
    acted; value: what `net` says of each step. A recurrent `net` meets the last step's successor with the state that
    the policy had there which acted, as it starts from the stored one."""
    next_value = net.value(batch["next_obs"], *([batch["next_state"]] if "next_state" in batch else []))
    return vtrace(
        log_ratio.detach(), batch["reward"], value.detach(), next_value.detach(), batch["terminated"],
        batch["truncated"], cfg.gamma, cfg.gae_lambda, cfg.clip_rho, cfg.clip_c, batch["mask"],
    )  # fmt: skip
