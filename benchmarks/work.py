"""Work that is measured in every library. All virtual environments import this: standard library only.

Evaluation is part of the work: 5 episodes of the deterministic policy in separate environments after each tenth of the
budget, and 20 after the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

ENV = "CartPole-v1"
EVALUATION_EPISODES = 5
FINAL_EPISODES = 20
REPORTS = 10


@dataclass(frozen=True)
class Setup:
    """Hyperparameters in the names of Stable-Baselines3; two separate networks of tanh units in every library."""

    title: str
    n_steps: int
    n_epochs: int
    learning_rate: float
    gamma: float
    gae_lambda: float
    n_envs: int = 8
    batch_size: int = 256
    clip_range: float = 0.2
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5

    algorithm = "ppo"
    env = ENV
    env_steps = 40_960
    hidden = 64

    def hyperparameters(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "title"}


@dataclass(frozen=True)
class OffPolicySetup:
    """One environment per seed, ReLU networks of two layers of `hidden` units in every library.

    `env_steps`: the budget; a tenth of it is a whole number of rollouts. `learns`: the hyperparameters, which have the
    same names in all."""

    title: str
    algorithm: str
    env: str
    env_steps: int
    hidden: int
    learns: dict[str, Any]

    def hyperparameters(self) -> dict[str, Any]:
        """Return the hyperparameters in the names of tuneexp, where plain DQN needs double=False."""
        own = {**self.learns, "model": {"hidden_sizes": [self.hidden, self.hidden]}}
        return {**own, "double": False} if self.algorithm == "dqn" else own


SETUPS = {
    "short": Setup("8 x 32 steps, 20 epochs", 32, 20, learning_rate=1e-3, gamma=0.98, gae_lambda=0.8),
    "long": Setup("8 x 256 steps, 10 epochs", 256, 10, learning_rate=3e-4, gamma=0.99, gae_lambda=0.95),
}

# RL Zoo's published configurations: 128 updates of 64 rows every 256 steps, and one update of 256 rows every step.
_DQN: dict[str, Any] = {
    "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1000, "gamma": 0.99,
    "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04,
}  # fmt: skip
# At least a whole minibatch: no library samples a row twice for the first ones.
_SAC: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 256, "buffer_size": 100_000, "learning_starts": 256}
DQN_SETUPS = {
    f"dqn_{hidden}": OffPolicySetup(
        f"CartPole-v1, {hidden}x{hidden}, 128 updates of 64 rows every 256 steps", "dqn", ENV, steps, hidden, _DQN
    )
    for hidden, steps in ((256, 10_240), (64, 20_480))
}
SAC_SETUPS = {
    f"sac_{hidden}": OffPolicySetup(
        f"Pendulum-v1, {hidden}x{hidden}, an update of 256 rows every step", "sac", "Pendulum-v1", 3_000, hidden, _SAC
    )
    for hidden in (256, 64)
}
TQC_SETUPS = {"tqc_64": replace(SAC_SETUPS["sac_64"], algorithm="tqc")}
PARTS: dict[str, Mapping[str, Setup | OffPolicySetup]] = {
    "ppo": SETUPS, "dqn": DQN_SETUPS, "sac": SAC_SETUPS, "tqc": TQC_SETUPS,
}  # fmt: skip
ALL_SETUPS: dict[str, Setup | OffPolicySetup] = {name: setup for part in PARTS.values() for name, setup in part.items()}

# Defaults of RLlib: batches of about 500 rows, each used twice, and two runners.
APPO_WORK: dict[str, Any] = {
    "num_env_runners": 2, "n_envs": 8, "n_steps": 64, "n_epochs": 2, "learning_rate": 5e-4, "gamma": 0.99,
}  # fmt: skip
APPO_ENV_STEPS = 102_400

# The sweep: hyperparameters of "short", of which these are searched.
SEARCHED = {
    "learning_rate": ("loguniform", 1e-4, 3e-3),
    "clip_range": ("uniform", 0.1, 0.4),
    "ent_coef": ("loguniform", 1e-8, 1e-2),
    "gamma": ("uniform", 0.95, 0.995),
}
SWEEP_ENV_STEPS = 20_000
CONCURRENCY = 2
