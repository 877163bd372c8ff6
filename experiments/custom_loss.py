"""A loss of your own: PPO with a KL penalty instead of clipping (Schulman et al. 2017, eq. 8). It is tuned on CartPole.

python experiments/custom_loss.py
tuneexp train experiments/custom_loss.py:MyPPO CartPole-v1 --env-steps 50000
tuneexp sweep --algorithm experiments/custom_loss.py:MyPPO --env CartPole-v1 --name mine
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from tuneexp import PPO, CfgView, Nets, Sweep, run_script, watch
from tuneexp.rl import approx_kl, mean_over, normalize


def my_loss(nets: Nets, batch: Mapping[str, Tensor], cfg: CfgView) -> tuple[Tensor, dict[str, Tensor]]:
    """batch: one minibatch of one seed, columns [B, ...]. The KL penalty keeps the policy near the old one."""
    dist, value = nets.online.dist_and_value(batch["obs"])
    log_ratio = dist.log_prob(batch["action"]) - batch["log_prob"]
    mask = batch["mask"]  # False where a row is padding
    policy_loss = -mean_over(log_ratio.exp() * normalize(batch["advantage"], mask), mask)
    value_loss = mean_over((value - batch["value_target"]).pow(2), mask)
    kl, entropy = approx_kl(log_ratio, mask), mean_over(dist.entropy(), mask)
    # 1 / clip_range is the coefficient of the penalty: as in PPO, a smaller clip_range means smaller steps.
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
