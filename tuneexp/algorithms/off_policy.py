"""Common parts of the algorithms with a replay buffer."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn, optim

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.optimizers import optimizer_of


def weighted_mean(error: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean loss, with the importance weights of prioritized replay if there are any.

    Schaul et al. 2016 (arXiv:1511.05952), section 3.4.

    Args:
        error: Loss of each row, [B].
        batch: Minibatch; column `weight` [B] with prioritized replay.

    Returns:
        0-d.
    """
    weight = batch.get("weight")
    return (error if weight is None else error * weight).mean()


def adam(named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    """Adam with the defaults of torch, unless `optimizer_class` names another optimizer."""
    return optimizer_of(named_parameters, cfg)
