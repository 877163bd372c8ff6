"""V-trace: off-policy correction of values and advantages (Espeholt et al. 2018, arXiv:1802.01561).

Arguments are as in `tuneexp.rl.returns`: [T, ...], time first, `terminated` and `truncated` never merged, `next_value`
the value of the true next observation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tuneexp.rl.returns import (
    Number,
    backward_recurrence,
    following,
    last_of_trace,
    only_valid,
    td_target,
    trace_factor,
)


class VTrace(NamedTuple):
    """Result of `vtrace`, all [T, ...].

    Espeholt et al. 2018 (arXiv:1802.01561), section 4.2 and eq. 1.

    Attributes:
        advantage: Factor of the gradient of the log probability.
        target: v_s, target of the value function.
    """

    advantage: Tensor  # weight of the gradient of the log-probability
    target: Tensor  # v_s, the target of the value function


def vtrace(
    log_ratio: Tensor,
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: Number,
    gae_lambda: Number = 1.0,
    clip_rho: Number = 1.0,
    clip_c: Number = 1.0,
    valid: Tensor | None = None,
) -> VTrace:
    """V-trace targets and policy-gradient advantages.

    Espeholt et al. 2018 (arXiv:1802.01561). With rho = min(clip_rho, pi / mu), c = gae_lambda * min(clip_c, pi / mu)
    and delta_t = rho_t (r_t + gamma V(x_{t+1}) - V(x_t)), the target is v_s = V(x_s) + sum_t gamma^{t-s} (prod c_i)
    delta_t (eq. 1; recursive form in remark 1, lambda in remark 2). The advantage is rho_s (r_s + gamma v_{s+1} -
    V(x_s)) (section 4.2). For gae_lambda below 1, v_{s+1} is mixed with V(x_{s+1}) by that weight, so that the
    advantage is that of `gae` where pi equals mu. On a truncated row and on the last one V(x_{s+1}) takes the place of
    v_{s+1}.

    Args:
        log_ratio: log pi - log mu of the actions, [T, ...]; pi is the target policy, mu the behaviour policy.
        reward: Rewards, [T, ...].
        value: Value of the observation, [T, ...].
        next_value: Value of the true next observation, [T, ...].
        terminated: The episode ended in a terminal state, bool [T, ...].
        truncated: The episode was cut, bool [T, ...].
        gamma: Discount factor per step.
        gae_lambda: Decay of the trace; 0 is one-step TD.
        clip_rho: Upper bound of the importance weights of TD errors (rho bar).
        clip_c: Upper bound of the importance weights of the trace (c bar).
        valid: False on rows that only reset an environment, bool [T, ...]. Their advantage is 0, their target their
            value, and nothing is carried across them. None: all rows are transitions.

    Returns:
        A `VTrace`.
    """
    ratio = log_ratio.exp()
    rho, carried = _at_most(ratio, clip_rho), gae_lambda * _at_most(ratio, clip_c)
    last = last_of_trace(terminated | truncated, valid)
    delta = rho * (td_target(reward, terminated, next_value, gamma) - value)
    error = backward_recurrence(only_valid(delta, valid), trace_factor(delta, last, gamma * carried))
    next_target = next_value + trace_factor(delta, last, gae_lambda) * following(error)
    advantage = rho * (td_target(reward, terminated, next_target, gamma) - value)
    return VTrace(only_valid(advantage, valid), value + error)


def _at_most(ratio: Tensor, bound: Number) -> Tensor:
    return torch.where(ratio > bound, bound, ratio)  # keeps NaN: a diverged seed must be detected
