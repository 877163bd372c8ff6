"""Custom algorithm that tests name by its address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tuneexp.algorithms.ppo import PPO, ppo_loss
from tuneexp.algorithms.spec import replace
from tuneexp.learning.nets import Nets


def entropy_heavy(nets: Nets, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Tensor, dict[str, Tensor]]:
    loss, statistics = ppo_loss(nets, batch, cfg)
    return loss - 0.1 * statistics["entropy"], {**statistics, "mine": statistics["entropy"] * 2}


MyPPO = replace(PPO, name="my_ppo", loss_fn=entropy_heavy)
WithoutSpace = replace(MyPPO, default_space=None)
WithSpace = replace(MyPPO, default_space={"learning_rate": {"loguniform": [1e-4, 1e-2]}})
