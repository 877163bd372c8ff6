"""PPO in one plain file of PyTorch, as CleanRL writes it: `torch_ppo.py SETUP ENV_STEPS SEED` prints the measurement.

Its numbers are those of the other libraries: orthogonal initialisation, Adam with epsilon 1e-5, advantages normalised
per minibatch, and the value of the last observation where an episode is truncated."""

from __future__ import annotations

import sys
from typing import Any

from clock import Tenths, hand_over, one_core
from work import EVALUATION_EPISODES, FINAL_EPISODES, REPORTS, SETUPS, Setup

one_core()

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor, nn
from torch.distributions import Categorical


def network(n_in: int, hidden: int, n_out: int, last_gain: float) -> nn.Sequential:
    def layer(rows: int, columns: int, gain: float) -> nn.Linear:
        linear = nn.Linear(rows, columns)
        nn.init.orthogonal_(linear.weight, gain)
        nn.init.zeros_(linear.bias)
        return linear

    gain = 2**0.5
    return nn.Sequential(
        layer(n_in, hidden, gain), nn.Tanh(), layer(hidden, hidden, gain), nn.Tanh(), layer(hidden, n_out, last_gain)
    )


class Agent(nn.Module):
    def __init__(self, n_obs: int, n_actions: int, hidden: int) -> None:
        super().__init__()
        self.actor = network(n_obs, hidden, n_actions, 0.01)
        self.critic = network(n_obs, hidden, 1, 1.0)

    def value(self, obs: Tensor) -> Tensor:
        return self.critic(obs).squeeze(-1)


def environments(env: str, number: int) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gym.make(env)] * number, autoreset_mode=AutoresetMode.SAME_STEP)


def evaluate(agent: Agent, envs: SyncVectorEnv) -> float:
    """Return the mean return of one episode of the deterministic policy in each environment."""
    obs, _ = envs.reset(seed=10_000)
    returns, running = np.zeros(envs.num_envs), np.ones(envs.num_envs, dtype=bool)
    while running.any():
        with torch.no_grad():
            action = agent.actor(torch.as_tensor(obs)).argmax(-1)
        obs, reward, terminated, truncated, _ = envs.step(action.numpy())
        returns += reward * running
        running &= ~(terminated | truncated)
    return float(returns.mean())


class PPO:
    """Training of one agent. `step` is a rollout and its updates."""

    def __init__(self, setup: Setup, seed: int) -> None:
        torch.manual_seed(seed)
        self.setup = setup
        self.envs = environments(setup.env, setup.n_envs)
        self.obs, _ = self.envs.reset(seed=seed)
        n_actions = int(self.envs.single_action_space.n)  # type: ignore[attr-defined]
        self.agent = Agent(self.obs.shape[1], n_actions, setup.hidden)
        self.optimizer = torch.optim.Adam(self.agent.parameters(), lr=setup.learning_rate, eps=1e-5)
        size = (setup.n_steps, setup.n_envs)
        self.rows: dict[str, Tensor] = {
            "obs": torch.zeros(*size, self.obs.shape[1]), "action": torch.zeros(size, dtype=torch.int64),
            "log_prob": torch.zeros(size), "value": torch.zeros(size), "reward": torch.zeros(size),
            "ended": torch.zeros(size),
        }  # fmt: skip

    def step(self) -> None:
        with torch.no_grad():
            self._roll_out()
            self._add_advantages()
        rows = {name: column.flatten(0, 1) for name, column in self.rows.items()}
        n_rows = len(rows["action"])
        for _ in range(self.setup.n_epochs):
            order = torch.randperm(n_rows)
            for start in range(0, n_rows, self.setup.batch_size):
                chosen = order[start : start + self.setup.batch_size]
                self._update({name: column[chosen] for name, column in rows.items()})

    def _roll_out(self) -> None:
        for t in range(self.setup.n_steps):
            obs = torch.as_tensor(self.obs)
            distribution = Categorical(logits=self.agent.actor(obs))
            action = distribution.sample()
            self.rows["obs"][t], self.rows["action"][t] = obs, action
            self.rows["log_prob"][t] = distribution.log_prob(action)
            self.rows["value"][t] = self.agent.value(obs)
            self.obs, reward, terminated, truncated, info = self.envs.step(action.numpy())
            self.rows["reward"][t] = torch.as_tensor(reward)
            self.rows["ended"][t] = torch.as_tensor(terminated | truncated)
            for index in np.flatnonzero(truncated & ~terminated):
                last = torch.as_tensor(info["final_obs"][index])
                self.rows["reward"][t, index] += self.setup.gamma * self.agent.value(last)

    def _add_advantages(self) -> None:
        setup, rows = self.setup, self.rows
        advantage = torch.zeros_like(rows["reward"])
        next_value, following = self.agent.value(torch.as_tensor(self.obs)), torch.zeros(setup.n_envs)
        for t in reversed(range(setup.n_steps)):
            goes_on = 1.0 - rows["ended"][t]
            delta = rows["reward"][t] + setup.gamma * next_value * goes_on - rows["value"][t]
            following = delta + setup.gamma * setup.gae_lambda * goes_on * following
            advantage[t], next_value = following, rows["value"][t]
        rows["advantage"], rows["return"] = advantage, advantage + rows["value"]

    def _update(self, batch: dict[str, Tensor]) -> None:
        setup = self.setup
        distribution = Categorical(logits=self.agent.actor(batch["obs"]))
        ratio = (distribution.log_prob(batch["action"]) - batch["log_prob"]).exp()
        advantage = (batch["advantage"] - batch["advantage"].mean()) / (batch["advantage"].std() + 1e-8)
        clipped = ratio.clamp(1 - setup.clip_range, 1 + setup.clip_range)
        policy_loss = -torch.min(advantage * ratio, advantage * clipped).mean()
        value_loss = (self.agent.value(batch["obs"]) - batch["return"]).square().mean()
        loss = policy_loss + setup.vf_coef * value_loss - setup.ent_coef * distribution.entropy().mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.agent.parameters(), setup.max_grad_norm)
        self.optimizer.step()


def trained(setup: Setup, env_steps: int, seed: int) -> dict[str, Any]:
    clock = Tenths(evaluate)
    few, many = (environments(setup.env, number) for number in (EVALUATION_EPISODES, FINAL_EPISODES))
    ppo = PPO(setup, seed)
    rollouts = env_steps // REPORTS // (setup.n_steps * setup.n_envs)
    for tenth in range(REPORTS):
        for _ in range(rollouts):
            ppo.step()
        score = clock.evaluate(ppo.agent, few if tenth + 1 < REPORTS else many)
        if tenth == 0:
            clock.end_first()
    return clock.measurement((REPORTS - 1) * rollouts * setup.n_steps * setup.n_envs, score)


def main() -> None:
    setup, env_steps, seed = SETUPS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    hand_over(trained(setup, env_steps, seed))


if __name__ == "__main__":
    main()
