"""An algorithm of your own: REINFORCE with a baseline (Williams 1992). It is tuned, and PPO for comparison.

python experiments/custom_algorithm.py
tuneexp train experiments/custom_algorithm.py:REINFORCE CartPole-v1 --env-steps 100000 --set learning_rate=0.003
tuneexp sweep --algorithm experiments/custom_algorithm.py:REINFORCE --env CartPole-v1 --env-steps 100000 \
    --space experiments/custom_algorithm.py:SPACE --trials 4 --name mine
tuneexp resume mine
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn, optim

from tuneexp import AlgorithmConfig, AlgorithmSpec, Sweep, numeric, run_script, structural, watch
from tuneexp.rl import Distribution, action_head, discounted_returns


class ReinforceConfig(AlgorithmConfig):  # inherits learning_rate, gamma, n_envs and normalisation
    baseline_learning_rate: float = numeric(5e-3, "Learning rate of the baseline.", gt=0.0)
    ent_coef: float = numeric(0.0, "Weight of the entropy bonus.", ge=0.0)
    max_grad_norm: float | None = numeric(1.0, "Bound on each seed's gradient norm; None: no bound.", gt=0.0)
    n_steps: int = structural(128, "Steps per environment in one rollout.", ge=1)
    hidden_size: int = structural(64, "Units of the hidden layer of policy and baseline.", ge=1)
    n_epochs: ClassVar[int] = 1  # on-policy: each rollout is used for one update, as a whole

    def rollout_env_steps(self) -> int:
        return self.n_envs * self.n_steps

    minibatch_rows = rollout_env_steps


class PolicyAndBaseline(nn.Module):
    def __init__(self, observation_space: Any, action_space: Any, cfg: Any) -> None:
        super().__init__()
        self.head = action_head(action_space)
        size, hidden = observation_space.shape[0], cfg.hidden_size
        self.policy = nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, self.head.size))
        self.baseline = nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.log_std = nn.Parameter(torch.zeros(self.head.size)) if self.head.has_log_std else None

    def dist(self, obs: Tensor) -> Distribution:
        return self.head.dist(self.policy(obs), self.log_std)

    def value(self, obs: Tensor) -> Tensor:
        return self.baseline(obs).squeeze(-1)


def act(nets: Any, obs: Tensor, state: Any, noise: Mapping[str, Tensor], cfg: Any, explore: Tensor) -> Any:
    dist = nets.online.dist(obs)
    return torch.where(explore, dist.sample(noise["action"]), dist.mode()), {}, state


def returns(nets: Any, fragment: Mapping[str, Tensor], cfg: Any) -> dict[str, Tensor]:
    """Discounted return of each action; the baseline is the bootstrap where the rollout ends within an episode."""
    reward, terminated, truncated, valid = (fragment[name] for name in ("reward", "terminated", "truncated", "valid"))
    beyond = nets.frozen.value(fragment["next_obs"])
    following = discounted_returns(reward, beyond, terminated, truncated, cfg.gamma, valid)
    return {"obs": fragment["obs"], "action": fragment["action"], "return": following}


def loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Tensor, dict[str, Tensor]]:
    dist, baseline = nets.online.dist(batch["obs"]), nets.online.value(batch["obs"])
    policy_loss = -(dist.log_prob(batch["action"]) * (batch["return"] - baseline.detach())).mean()
    baseline_loss, entropy = (baseline - batch["return"]).square().mean(), dist.entropy().mean()
    return policy_loss + baseline_loss - cfg.ent_coef * entropy, {"policy_loss": policy_loss, "entropy": entropy}


def adam(named_parameters: Mapping[str, nn.Parameter], cfg: Any) -> optim.Optimizer:
    baseline = [leaf for name, leaf in named_parameters.items() if name.startswith("baseline.")]
    policy = [leaf for name, leaf in named_parameters.items() if not name.startswith("baseline.")]
    return optim.Adam([{"params": policy}, {"params": baseline, "lr": cfg.baseline_learning_rate}], cfg.learning_rate)


REINFORCE = AlgorithmSpec("reinforce", ReinforceConfig, PolicyAndBaseline, act, loss, returns, adam)

# Hyperparameters that REINFORCE and PPO share: one space for both.
SPACE = {"learning_rate": {"loguniform": [1e-3, 1e-2]}, "ent_coef": {"loguniform": [1e-4, 1e-2]}}


def main(trials: int = 4, seeds: int = 4, env_steps: int = 100_000, name: str = "", storage: str = "runs") -> None:
    """Tune REINFORCE on CartPole, then PPO for comparison. --env-steps is the budget of each seed of a trial."""
    name = name or time.strftime("reinforce-%Y%m%d-%H%M%S")
    for algorithm, called in ((REINFORCE, name), ("ppo", f"{name}-ppo")):
        sweep = Sweep(
            algorithm=algorithm,
            env="CartPole-v1",  # one MLflow experiment for each environment: both sweeps are in the same one
            space=SPACE,
            trials=trials,
            seeds=seeds,
            budget_env_steps=env_steps,
            name=called,
            storage=storage,
        )
        watch(sweep)


if __name__ == "__main__":
    run_script(main)
