"""V-trace: values and advantages of a policy from fragments that another one collected (Espeholt et al. 2018, IMPALA).

Arguments are as in `tuneexp.rl.returns`: [T, ...], time first, `terminated` and `truncated` never merged, `next_value`
the value of the *true* next observation. The clipping bounds may be floats or 0-d tensors.
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
    """All [T, ...]; from `vtrace`."""

    advantage: Tensor  # what the gradient of the log-probability is multiplied by
    target: Tensor  # v_s, of the value function


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
    """log_ratio: log pi - log mu of the actions: pi is learned, mu acted. All [T, ...], flags bool.

    With rho = min(clip_rho, pi / mu), c = gae_lambda * min(clip_c, pi / mu) and
    delta_t = rho_t (r_t + gamma V(x_{t+1}) - V(x_t)), the target is v_s = V(x_s) + sum_t gamma^{t-s} (prod c_i) delta_t
    (eq. 1; its recursive form in remark 1, gae_lambda in remark 2) and the advantage
    rho_s (r_s + gamma v_{s+1} - V(x_s)) (section 4.2). Where gae_lambda is below 1, v_{s+1} is mixed with V(x_{s+1}) by
    the same weight, so that where pi is mu the advantage is that of `gae`.

    A truncated row and the last one have V(x_{s+1}) for v_{s+1}. A row with `valid` False is no transition: its
    advantage is 0, its target its value, and nothing is carried across it.
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
    return torch.where(ratio > bound, bound, ratio)  # NaN stays NaN: a diverged seed must be seen
