"""A loss of one's own: PPO with a KL penalty instead of clipping, in a few lines, then tuned.

python experiments/custom_loss.py
tuneexp train experiments/custom_loss.py:MyPPO CartPole-v1 --env-steps 50000
tuneexp sweep --algorithm experiments/custom_loss.py:MyPPO --env CartPole-v1 --space search_spaces/ppo.yaml --name mine
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from tuneexp import PPO, Sweep, run_script, watch
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.nets import Nets
from tuneexp.rl.losses import approx_kl, mean_over, normalize


def my_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """One seed's minibatch, columns [B, ...]. Nothing is clipped: a penalty holds the policy near the old one."""
    dist, value = nets.online.dist_and_value(batch["obs"])
    log_ratio = dist.log_prob(batch["action"]) - batch["log_prob"]
    mask = batch["mask"]  # False where a row only fills up the minibatch
    policy_loss = -mean_over(log_ratio.exp() * normalize(batch["advantage"], mask), mask)
    value_loss = mean_over((value - batch["value_target"]).pow(2), mask)
    kl, entropy = approx_kl(log_ratio, mask), mean_over(dist.entropy(), mask)
    # clip_range keeps its meaning of a step size: the smaller it is, the harder the pull back.
    loss = policy_loss + kl / cfg.clip_range + cfg.vf_coef * value_loss - cfg.ent_coef * entropy
    return loss, {"policy_loss": policy_loss, "value_loss": value_loss, "approx_kl": kl, "entropy": entropy}


MyPPO = replace(PPO, name="my_ppo", loss_fn=my_loss)


def main(trials: int = 4, seeds: int = 4, env_steps: int = 30_000, name: str = "", storage: str = "runs") -> None:
    """Tune the custom loss on CartPole. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm=MyPPO,
        env="CartPole-v1",
        space={"learning_rate": {"loguniform": [1e-4, 3e-3]}, "clip_range": {"uniform": [0.05, 0.5]}},
        fixed={"n_steps": 32, "batch_size": 256, "n_epochs": 10, "gamma": 0.98, "gae_lambda": 0.8},
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
