"""What every algorithm with a replay buffer can be told."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn, optim

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.optimizers import optimizer_of


def weighted_mean(error: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """error: [B], each row's loss. Its mean, with the importance weights of prioritized rows, 0-d."""
    weight = batch.get("weight")
    return (error if weight is None else error * weight).mean()


def adam(named_parameters: Mapping[str, nn.Parameter], cfg: CfgView) -> optim.Optimizer:
    return optimizer_of(named_parameters, cfg)
