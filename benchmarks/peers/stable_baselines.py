"""Stable-Baselines3, or sbx, the same in JAX: `stable_baselines.py sb3|sbx SETUP ENV_STEPS SEED`.

It prints the measurement."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from clock import Tenths, hand_over, one_core
from work import ALL_SETUPS, EVALUATION_EPISODES, FINAL_EPISODES, REPORTS, OffPolicySetup, Setup

one_core()

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

MODULES = {"sb3": "stable_baselines3", "sbx": "sbx"}


class EveryTenth(BaseCallback):
    """Callback that evaluates after each tenth of the budget; the clock starts after the first tenth."""

    def __init__(self, env: str, env_steps: int, seed: int) -> None:
        super().__init__()
        self.every = self.due = env_steps // REPORTS
        self.few = make_vec_env(env, n_envs=EVALUATION_EPISODES, seed=10_000 + seed)
        self.many = make_vec_env(env, n_envs=FINAL_EPISODES, seed=10_000 + seed)
        self.clock = Tenths(evaluate_policy)
        self.started_steps = 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        # The update on the previous rollout is done: the other libraries evaluate at the same point.
        if self.num_timesteps < self.due:
            return
        self.due += self.every
        self.clock.evaluate(self.model, self.few, n_eval_episodes=EVALUATION_EPISODES)
        if not self.clock.first_is_over:
            self.started_steps = self.num_timesteps
            self.clock.end_first()

    def measurement(self) -> dict[str, Any]:
        score = float(self.clock.evaluate(self.model, self.many, n_eval_episodes=FINAL_EPISODES)[0])
        return self.clock.measurement(self.model.num_timesteps - self.started_steps, score)


def built(library: str, setup: Setup | OffPolicySetup, seed: int) -> Any:
    kind = getattr(import_module(MODULES[library]), setup.algorithm.upper())
    if isinstance(setup, OffPolicySetup):
        n_envs, settings = 1, {**setup.learns, "policy_kwargs": {"net_arch": [setup.hidden, setup.hidden]}}
    else:
        settings = setup.hyperparameters()
        n_envs = settings.pop("n_envs")
    return kind("MlpPolicy", make_vec_env(setup.env, n_envs=n_envs, seed=seed), seed=seed, device="cpu", **settings)


def main() -> None:
    library, setup, env_steps, seed = sys.argv[1], ALL_SETUPS[sys.argv[2]], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    every_tenth = EveryTenth(setup.env, env_steps, seed)
    built(library, setup, seed).learn(env_steps, callback=every_tenth)
    hand_over(every_tenth.measurement())


if __name__ == "__main__":
    main()
