"""Tasks of `make learn`: published configurations, with or without a published return."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.running import HERE

REFERENCE = HERE / "reference_returns.csv"
SEEDS = [0, 1, 2, 3, 4]


class Published(NamedTuple):
    """One row of the reference: a single run of RL Baselines3 Zoo, deterministic policy."""

    mean_return: float
    std_return: float
    env_steps: int

    @property
    def wanted(self) -> float:
        """The smallest interquartile mean that counts as matched."""
        return self.mean_return - max(self.std_return, 0.02 * abs(self.mean_return))


@dataclass(frozen=True)
class Task:
    """A configuration to train. `env_steps`: maximum per seed; the budget is a whole number of rollouts. `note`: the
    differences from the published configuration."""

    name: str
    algorithm: str
    env: str
    env_steps: int
    hyperparameters: dict[str, Any]
    note: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def published(self) -> Published | None:
        return references().get((self.algorithm, self.env)) if self.has_row else None

    @property
    def has_row(self) -> bool:
        """True if the task may be compared with the published row; a variant of an algorithm may not."""
        return self.name == f"{self.algorithm}_{self.env}"


class TooLong(NamedTuple):
    """A published row that takes too long, or whose environment no longer exists.

    Its hours for 5 seeds are estimated from `image_updates` of 32 rows per seed, with the time of one that
    `make bench-images` measured."""

    algorithm: str
    env: str
    why: str
    image_updates: int = 0

    @property
    def published(self) -> Published:
        return references()[self.algorithm, self.env]


def references() -> dict[tuple[str, str], Published]:
    """Return (algorithm, environment) -> the published row."""
    lines = [line for line in REFERENCE.read_text().splitlines() if not line.startswith("#")]
    return {
        (row["algorithm"], row["env_id"]): Published(
            float(row["mean_return"]), float(row["std_return"]), int(row["train_env_steps"])
        )
        for row in csv.DictReader(lines)
    }


def source() -> str:
    """Return the source of the reference, its first line."""
    return REFERENCE.read_text().splitlines()[0].lstrip("# ")


_DQN_CARTPOLE: dict[str, Any] = {
    "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1000, "gamma": 0.99,
    "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04, "model": {"hidden_sizes": [256, 256]},
}  # fmt: skip
_PPO_CARTPOLE: dict[str, Any] = {
    "n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98, "gae_lambda": 0.8,
    "learning_rate": "linear:0.001", "clip_range": "linear:0.2",
}  # fmt: skip
_DETERMINISTIC_PENDULUM: dict[str, Any] = {
    "learning_rate": 1e-3, "gamma": 0.98, "buffer_size": 200_000, "learning_starts": 1000, "noise_std": 0.1,
    "train_freq": 1, "gradient_steps": 1, "model": {"hidden_sizes": [64, 64]},
}  # fmt: skip
_STEADY_CARTPOLE: dict[str, Any] = {
    **_DQN_CARTPOLE, "learning_rate": "linear:0.0023", "model": {"hidden_sizes": [64, 64]},
}  # fmt: skip
_STEADY = "a learning rate that decays to 0, n-step returns and smaller networks than published, for stability"
_SMALL = "64x64 networks instead of the larger published ones: equally good here in a tenth of the time"
_LOST = (
    "all seeds solve it by 20,000 steps, and most lose it after 42,000. With `gamma` 0.9999 and `ent_coef` 0.1 the "
    "entropy of an episode that never ends is worth more than the goal's 100. sb3_contrib 2.9.2 loses it, too (seed 0, "
    "2026-11-29): 92.9 at 22,500 steps, -83.9 at 40,000, -24.6 over 20 episodes at the end, while its mean value grew "
    "from 28 to 112, above any possible return"
)
_MOUNTAIN_CAR: dict[str, Any] = {
    "learning_rate": 3e-4, "buffer_size": 50_000, "batch_size": 512, "ent_coef": 0.1, "train_freq": 32,
    "gradient_steps": 32, "gamma": 0.9999, "tau": 0.01, "learning_starts": 0, "use_sde": True,
    "model": {"hidden_sizes": [64, 64], "log_std_init": -3.67, "use_expln": True},
}  # fmt: skip
_A2C_CONTINUOUS: dict[str, Any] = {
    "n_steps": 8, "gae_lambda": 0.9, "vf_coef": 0.4, "learning_rate": "linear:0.0007", "normalize_observation": True,
    "normalize_reward": True, "use_sde": True, "model": {"log_std_init": -2.0, "ortho_init": False},
}  # fmt: skip
_SDE = "state-dependent exploration, as published"


def _row(algorithm: str, env: str, env_steps: int, note: str = "", **hyperparameters: Any) -> Task:
    return Task(f"{algorithm}_{env}", algorithm, env, env_steps, hyperparameters, note)


_WITH_A_ROW = [
    _row("ppo", "CartPole-v1", 100_000, **_PPO_CARTPOLE),
    _row("ppo", "Pendulum-v1", 100_000, _SDE, n_envs=4, n_steps=1024, batch_size=64, n_epochs=10, gamma=0.9,
         gae_lambda=0.95, learning_rate=1e-3, clip_range=0.2, use_sde=True, sde_sample_freq=4),
    _row("ppo", "MountainCarContinuous-v0", 20_000, f"{_SDE}; each minibatch is the whole (smaller) rollout",
         n_envs=1, n_steps=8, batch_size=256, n_epochs=10, gamma=0.9999, gae_lambda=0.9, learning_rate=7.77e-5,
         clip_range=0.1, ent_coef=0.00429, vf_coef=0.19, max_grad_norm=5.0, normalize_observation=True,
         normalize_reward=True, use_sde=True, model={"log_std_init": -3.29, "ortho_init": False}),
    _row("ppo", "Acrobot-v1", 1_000_000, n_envs=16, n_steps=256, batch_size=64, n_epochs=4, gamma=0.99,
         gae_lambda=0.94, normalize_observation=True, normalize_reward=True),
    _row("a2c", "CartPole-v1", 500_000, "a learning rate that decays to 0", n_envs=8, learning_rate="linear:0.0007"),
    _row("a2c", "Pendulum-v1", 1_000_000, _SDE, **_A2C_CONTINUOUS, n_envs=8, gamma=0.9),
    _row("a2c", "MountainCarContinuous-v0", 100_000, _SDE, n_envs=4, n_steps=100, normalize_observation=True,
         normalize_reward=True, use_sde=True, sde_sample_freq=16, model={"log_std_init": 0.0, "ortho_init": False}),
    _row("dqn", "CartPole-v1", 50_000, _STEADY, **_STEADY_CARTPOLE, n_step=5),
    _row("dqn", "MountainCar-v0", 120_000, learning_rate=4e-3, batch_size=128, buffer_size=10_000,
         learning_starts=1000, gamma=0.98, target_update_interval=600, train_freq=16, gradient_steps=8,
         exploration_fraction=0.2, exploration_final_eps=0.07, double=False, model={"hidden_sizes": [256, 256]}),
    _row("qrdqn", "CartPole-v1", 50_000, _STEADY, **_STEADY_CARTPOLE, n_step=3, n_quantiles=25),
    _row("ddpg", "Pendulum-v1", 20_000, _SMALL, **_DETERMINISTIC_PENDULUM),
    _row("td3", "Pendulum-v1", 20_000, _SMALL, **_DETERMINISTIC_PENDULUM),
    _row("sac", "Pendulum-v1", 20_000, _SMALL, learning_rate=1e-3, model={"hidden_sizes": [64, 64]}),
    _row("sac", "MountainCarContinuous-v0", 50_000, _SDE, **_MOUNTAIN_CAR),
    _row("tqc", "MountainCarContinuous-v0", 50_000,
         f"{_SDE}; {_LOST}", **_MOUNTAIN_CAR),
]  # fmt: skip
_WITHOUT_A_ROW = [
    Task("appo_CartPole-v1", "appo", "CartPole-v1", 200_000, {}, "default hyperparameters; synchronous sampling"),
    Task("impala_CartPole-v1", "impala", "CartPole-v1", 500_000, {
        "n_steps": 5, "learning_rate": "linear:0.002", "gamma": 0.98, "gae_lambda": 0.95, "ent_coef": 0.0,
        "max_grad_norm": 0.5,
    }, "synchronous sampling; fragments as short as those of A2C"),
    Task("tqc_Pendulum-v1", "tqc", "Pendulum-v1", 20_000, {"learning_rate": 1e-3, "model": {"hidden_sizes": [64, 64]}}),
    Task("a2c_LunarLanderContinuous-v3", "a2c", "LunarLanderContinuous-v3", 5_000_000,
         {**_A2C_CONTINUOUS, "n_envs": 4},
         f"{_SDE} for v2, which gymnasium no longer has: 84.2 ± 145.9 after as many steps"),
    Task("rainbow_CartPole-v1", "dqn", "CartPole-v1", 50_000, {
        **_STEADY_CARTPOLE, "learning_rate": "linear:0.001", "double": True, "dueling": True, "n_step": 5,
        "prioritized": True, "noisy": True, "distributional": True, "v_min": 0.0, "v_max": 100.0,
    }, "double, dueling, 5-step returns, prioritized replay, noisy networks and C51 together"),
    Task("sac_CartPole-v1", "sac", "CartPole-v1", 50_000, {
        "learning_rate": 7e-4, "batch_size": 256, "buffer_size": 50_000, "learning_starts": 1000, "train_freq": 32,
        "gradient_steps": 32, "target_entropy": 0.2, "model": {"hidden_sizes": [64, 64]},
    }, "discrete actions"),
    Task("recurrent_ppo_CartPole", "ppo", "benchmarks.environments:CartPoleWithoutVelocities", 200_000, {
        **_PPO_CARTPOLE, "sequence_length": 32, "normalize_observation": True, "normalize_reward": True,
        "model": {"recurrent": "lstm"},
    }, "an LSTM; only position and angle are observed. The wall-clock time includes a pause of twenty minutes"),
    Task("masked_ppo_CartPole", "ppo", "benchmarks.environments:CartPoleWithSpareActions", 100_000,
         {**_PPO_CARTPOLE, "action_mask": "action_mask"},
         "8 actions, of which 2 are valid; an invalid one ends the episode", {"wrappers": ["ActionMask"]}),
]  # fmt: skip
TASKS = {task.name: task for task in [*_WITH_A_ROW, *_WITHOUT_A_ROW]}

_V3 = "gymnasium no longer has v3; returns on v5, another environment, cannot be compared with the row"
_PONG = "learning from images takes hours"
# One seed, for a given number of hours: `python -m benchmarks.long_run`.
LONG_RUN = Task("ppo_PongNoFrameskip-v4", "ppo", "PongNoFrameskip-v4", 10_000_000, {
    "n_envs": 8, "n_steps": 128, "n_epochs": 4, "batch_size": 256, "learning_rate": "linear:0.00025",
    "clip_range": "linear:0.1", "ent_coef": 0.01, "vf_coef": 0.5,
})  # fmt: skip
TOO_LONG = [
    TooLong("sac", "HalfCheetah-v3", _V3),
    TooLong("td3", "HalfCheetah-v3", _V3),
    TooLong("ppo", "HalfCheetah-v3", _V3),
    TooLong("tqc", "HalfCheetah-v3", _V3),
    # One update of 32 rows every 4 steps; 4 epochs over every step, in minibatches of 256.
    TooLong("dqn", "PongNoFrameskip-v4", _PONG, image_updates=10_000_000 // 4),
    TooLong(
        "ppo",
        "PongNoFrameskip-v4",
        f"{_PONG}; a run of one seed for a part of the steps is below",
        image_updates=10_000_000 * 4 // 32,
    ),
]
