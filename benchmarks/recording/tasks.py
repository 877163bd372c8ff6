"""Tasks of `make record`: an algorithm, an environment, and at most five numbers that vary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

CONFIGURATIONS = 128
SEEDS = tuple(range(10))
EVALUATIONS = 20


@dataclass(frozen=True)
class RecordedTask:
    """A task to record.

    Args:
        name: of the file.
        algorithm: name of the algorithm.
        env: environment id.
        env_steps: budget, environment steps per seed. A twentieth of it is a whole number of rollouts.
        space: search space of the numbers that vary, all numeric: one compiled program trains every configuration.
        fixed: the other hyperparameters.
        episodes: episodes per seed of each evaluation.
        seeds: training seeds, one stack.
        evaluations: number of evaluations, at equal distances.
        wrappers: of each environment.
    """

    name: str
    algorithm: str
    env: str
    env_steps: int
    space: Mapping[str, Mapping[str, Any]]
    fixed: Mapping[str, Any]
    episodes: int = 3
    seeds: tuple[int, ...] = SEEDS
    evaluations: int = EVALUATIONS
    wrappers: tuple[Any, ...] = ()

    @property
    def evaluated_at(self) -> list[int]:
        """Environment steps of the evaluations."""
        return [self.env_steps * number // self.evaluations for number in range(1, self.evaluations + 1)]


_PPO_CARTPOLE = RecordedTask(
    "ppo_CartPole-v1", "ppo", "CartPole-v1", 51_200,
    space={
        "learning_rate": {"loguniform": [1e-5, 0.03]},
        "gamma": {"complement_loguniform": [0.8, 0.9999]},
        "gae_lambda": {"complement_loguniform": [0.5, 0.99]},
        "clip_range": {"loguniform": [0.03, 0.5]},
        "ent_coef": {"loguniform": [1e-5, 0.3]},
    },
    fixed={"n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 10},
)  # fmt: skip
_PPO_ACROBOT = RecordedTask(
    "ppo_Acrobot-v1", "ppo", "Acrobot-v1", 40_960,
    space={
        "learning_rate": {"loguniform": [3e-5, 0.03]},
        "gamma": {"complement_loguniform": [0.8, 0.9999]},
        "gae_lambda": {"complement_loguniform": [0.5, 0.99]},
        "clip_range": {"loguniform": [0.03, 0.5]},
        "ent_coef": {"loguniform": [1e-5, 0.3]},
    },
    fixed={
        "n_envs": 16, "n_steps": 64, "batch_size": 256, "n_epochs": 4, "normalize_observation": True,
        "normalize_reward": True,
    },
    episodes=2,
)  # fmt: skip
_TD3_PENDULUM = RecordedTask(
    "td3_Pendulum-v1", "td3", "Pendulum-v1", 10_000,
    space={
        "learning_rate": {"loguniform": [3e-5, 0.03]},
        "gamma": {"complement_loguniform": [0.8, 0.9999]},
        "tau": {"loguniform": [5e-4, 0.5]},
        "noise_std": {"loguniform": [0.01, 1.0]},
        "target_policy_noise": {"loguniform": [0.02, 1.0]},
    },
    fixed={
        "buffer_size": 10_000, "learning_starts": 500, "batch_size": 64, "train_freq": 2, "gradient_steps": 2,
        "model": {"hidden_sizes": [64, 64]},
    },
)  # fmt: skip
# Each action is repeated eight times: then random actions reach the goal in one of 80 episodes, else in none of 4,000.
_DQN_MOUNTAIN_CAR = RecordedTask(
    "dqn_MountainCar-v0", "dqn", "MountainCar-v0", 32_000,
    space={
        "learning_rate": {"loguniform": [1e-4, 0.03]},
        "gamma": {"complement_loguniform": [0.9, 0.999]},
        "tau": {"loguniform": [0.01, 1.0]},
        "exploration_fraction": {"uniform": [0.05, 0.8]},
        "exploration_final_eps": {"loguniform": [0.01, 0.3]},
    },
    fixed={
        "n_envs": 2, "buffer_size": 20_000, "learning_starts": 1000, "batch_size": 64, "train_freq": 4,
        "gradient_steps": 4, "target_update_interval": 80, "n_step": 3, "double": True,
        "model": {"hidden_sizes": [64, 64]},
    },
    wrappers=({"FrameSkip": {"skip": 8}},),
)  # fmt: skip
TASKS = {task.name: task for task in (_PPO_CARTPOLE, _PPO_ACROBOT, _TD3_PENDULUM, _DQN_MOUNTAIN_CAR)}


def miniature(
    task: RecordedTask, env_steps: int, seeds: tuple[int, ...] = (0, 1), evaluations: int = 2
) -> RecordedTask:
    """Return the task with a smaller budget, for tests."""
    return replace(task, env_steps=env_steps, seeds=seeds, evaluations=evaluations, episodes=1)
