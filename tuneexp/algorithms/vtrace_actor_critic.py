"""V-trace actor-critics, common parts of IMPALA and APPO: rollouts of a lagging policy, corrected by V-trace.

Espeholt et al. 2018 (arXiv:1802.01561), section 4. Minibatches are sequences [L, B, ...] with a `mask` of the steps
that count: whole rollouts of `n_steps`, or parts of `sequence_length` with a recurrent network. V-trace is computed
within the loss, from the networks at that update.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.rl.v_trace import VTrace, vtrace


def vtrace_columns(nets: Nets, fragment: Mapping[str, Tensor], cfg: CfgView) -> dict[str, Tensor]:
    """A `postprocess_fn`: select the columns that V-trace needs; everything else is computed within the loss.

    Args:
        nets: Unused.
        fragment: Columns, [T, S, N, ...].
        cfg: Unused.

    Returns:
        Columns, [T, S, N, ...].
    """
    names = ("obs", "next_obs", "action", "log_prob", "reward", "terminated", "truncated")
    memory = ("state", "next_state", "start")
    return {name: fragment[name] for name in (*names, *memory) if name in fragment}


def vtrace_of(net: Any, log_ratio: Tensor, value: Tensor, batch: Mapping[str, Tensor], cfg: CfgView) -> VTrace:
    """V-trace of a minibatch, without gradients.

    A recurrent `net` evaluates the successor of the last step with the recurrent state that the behaviour policy had
    there.

    Args:
        net: Network that estimates the values.
        log_ratio: Log probability ratio of the target policy to the behaviour policy, [L, B].
        value: Values by `net`, [L, B].
        batch: Columns of sequences, [L, B, ...].
        cfg: Hyperparameters.

    Returns:
        Advantages and value targets, [L, B] each.
    """
    next_value = net.value(batch["next_obs"], *([batch["next_state"]] if "next_state" in batch else []))
    return vtrace(
        log_ratio.detach(), batch["reward"], value.detach(), next_value.detach(), batch["terminated"],
        batch["truncated"], cfg.gamma, cfg.gae_lambda, cfg.clip_rho, cfg.clip_c, batch["mask"],
    )  # fmt: skip
