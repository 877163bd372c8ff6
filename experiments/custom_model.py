"""A network of your own: PPO with a residual network. Any torch.nn.Module with the required methods can be used.

python experiments/custom_model.py
tuneexp train ppo CartPole-v1 --env-steps 50000 --set model=experiments/custom_model.py:MyNet
tuneexp sweep --algorithm ppo --env CartPole-v1 --space experiments/custom_model.py:SPACE --name own-net \
    --set model=experiments/custom_model.py:MyNet
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tuneexp import Sweep, run_script, watch
from tuneexp.rl import action_head


class MyNet(nn.Module):
    """Residual network with the methods that PPO requires: `policy`, `value` and, for continuous actions, `log_std`."""

    def __init__(self, observation_space: Any, action_space: Any, width: int = 64, blocks: int = 2) -> None:
        super().__init__()
        head = action_head(action_space)  # .size: number of outputs of a policy
        self.first = nn.Linear(observation_space.shape[0], width)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width)) for _ in range(blocks))
        self.policy_out, self.value_out = nn.Linear(width, head.size), nn.Linear(width, 1)
        if head.has_log_std:
            self.log_std = nn.Parameter(torch.zeros(head.size))

    def features(self, obs: Tensor) -> Tensor:
        x = self.first(obs)
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return x

    def policy(self, obs: Tensor) -> Tensor:
        """obs: [B, ...]. Returns [B, size]: logits, or means of continuous actions."""
        return self.policy_out(self.features(obs))

    def value(self, obs: Tensor) -> Tensor:
        """obs: [B, ...]. Returns [B]."""
        return self.value_out(self.features(obs)).squeeze(-1)


SPACE = {
    "learning_rate": {"loguniform": [1e-4, 3e-3]},
    "model_kwargs": {"width": {"choice": [32, 64]}},  # arguments of the network are hyperparameters too
    "n_steps": 32,
    "batch_size": 256,
    "gamma": 0.98,
    "gae_lambda": 0.8,
}


def main(trials: int = 4, seeds: int = 4, env_steps: int = 50_000, name: str = "", storage: str = "runs") -> None:
    """Tune PPO with the custom model on CartPole. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
        env="CartPole-v1",
        space=SPACE,
        fixed={"model": MyNet},  # the class; on the command line path/file.py:MyNet
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
