"""What IMPALA and APPO share: rollouts of a policy that the learner has left behind, corrected by V-trace.

Minibatches are sequences [L, B, ...], of which `mask` says which steps count: whole fragments of `n_steps`, or with a
recurrent network parts of `sequence_length`. V-trace is computed inside of the loss, from the networks as they are
then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.rl.vtrace import VTrace, vtrace


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
