"""Stable-Baselines3: `python benchmarks/peer_sb3.py SETUP ENV_STEPS SEED` prints its measurement."""

from __future__ import annotations

import sys
import time
from typing import Any

from work import (
    ALL_SETUPS,
    EVALUATION_EPISODES,
    FINAL_EPISODES,
    REPORTS,
    OffPolicySetup,
    Setup,
    Stopwatch,
    hand_over,
    measurement,
    one_thread,
)

one_thread()

import torch
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


class TenthsClock(BaseCallback):
    """Callback that evaluates after each tenth of the budget; the clock starts after the first tenth."""

    def __init__(self, env: str, env_steps: int, seed: int) -> None:
        super().__init__()
        self.every = env_steps // REPORTS
        self.due = self.every
        self.few = make_vec_env(env, n_envs=EVALUATION_EPISODES, seed=10_000 + seed)
        self.many = make_vec_env(env, n_envs=FINAL_EPISODES, seed=10_000 + seed)
        self.evaluate = Stopwatch(evaluate_policy)
        self.started_s = time.perf_counter()
        self.started_steps = 0
        self.first_tenth_s = 0.0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        # The update on the previous rollout is done: the other libraries evaluate at the same point.
        if self.num_timesteps < self.due:
            return
        self.due += self.every
        self.evaluate(self.model, self.few, n_eval_episodes=EVALUATION_EPISODES)
        if not self.started_steps:
            now = time.perf_counter()
            self.first_tenth_s = now - self.started_s
            self.started_s, self.started_steps, self.evaluate.seconds = now, self.num_timesteps, 0.0

    def final(self) -> float:
        return float(self.evaluate(self.model, self.many, n_eval_episodes=FINAL_EPISODES)[0])


def built(setup: Setup | OffPolicySetup, seed: int) -> Any:
    kind = {"ppo": PPO, "dqn": DQN, "sac": SAC}[setup.algorithm]
    if isinstance(setup, OffPolicySetup):
        n_envs, settings = 1, {**setup.learns, "policy_kwargs": {"net_arch": [setup.hidden, setup.hidden]}}
    else:
        settings = setup.hyperparameters()
        n_envs = settings.pop("n_envs")
    return kind("MlpPolicy", make_vec_env(setup.env, n_envs=n_envs, seed=seed), seed=seed, device="cpu", **settings)


def main() -> None:
    setup, env_steps, seed = ALL_SETUPS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    clock = TenthsClock(setup.env, env_steps, seed)
    model = built(setup, seed)
    model.learn(env_steps, callback=clock)
    return_mean = clock.final()
    wall_s = time.perf_counter() - clock.started_s
    steps = model.num_timesteps - clock.started_steps
    hand_over(measurement(steps, wall_s, clock.evaluate.seconds, clock.first_tenth_s, return_mean))


if __name__ == "__main__":
    main()
