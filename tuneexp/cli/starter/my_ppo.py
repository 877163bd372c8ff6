"""PPO with another loss of the value: Huber's, which large errors pull less."""

from dataclasses import replace
from typing import Any

import torch
from torch.nn.functional import smooth_l1_loss

from tuneexp import PPO
from tuneexp.rl import mean_over, normalize


def my_loss(nets: Any, batch: Any, cfg: Any) -> tuple[Any, dict[str, Any]]:
    """batch: a minibatch of one seed, name -> [B, ...]. Returns the loss and its metrics."""
    dist, value = nets.online.dist_and_value(batch["obs"])
    mask = batch["mask"]  # False where a row is padding
    ratio = (dist.log_prob(batch["action"]) - batch["log_prob"]).exp()
    advantage = normalize(batch["advantage"], mask)
    clipped = ratio.clamp(1 - cfg.clip_range, 1 + cfg.clip_range)
    policy_loss = -mean_over(torch.min(ratio * advantage, clipped * advantage), mask)
    value_loss = mean_over(smooth_l1_loss(value, batch["value_target"], reduction="none"), mask)
    loss = policy_loss + cfg.vf_coef * value_loss - cfg.ent_coef * mean_over(dist.entropy(), mask)
    return loss, {"policy_loss": policy_loss, "value_loss": value_loss}


MyPPO = replace(PPO, name="my_ppo", loss_fn=my_loss)
