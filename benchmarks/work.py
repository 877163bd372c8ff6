"""Work that is measured in every library. Both virtual environments import this: standard library only.

Evaluation is part of the work: 5 episodes of the deterministic policy in separate environments after each tenth of the
budget, and 20 after the last one.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

ENV = "CartPole-v1"
EVALUATION_EPISODES = 5
FINAL_EPISODES = 20
REPORTS = 10


@dataclass(frozen=True)
class Setup:
    """Hyperparameters in the names of Stable-Baselines3; two separate 64x64 tanh networks in every library."""

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

    def hyperparameters(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "title"}


@dataclass(frozen=True)
class OffPolicySetup:
    """One environment per seed, ReLU networks of two layers of `hidden` units in both libraries.

    `env_steps`: the budget; a tenth of it is a whole number of rollouts. `learns`: the hyperparameters, which have the
    same names in both."""

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
        f"CartPole-v1, {hidden}x{hidden}, 128 updates of 64 rows every 256 steps", "dqn", ENV, 20_480, hidden, _DQN
    )
    for hidden in (256, 64)
}
SAC_SETUPS = {
    f"sac_{hidden}": OffPolicySetup(
        f"Pendulum-v1, {hidden}x{hidden}, an update of 256 rows every step", "sac", "Pendulum-v1", 3_000, hidden, _SAC
    )
    for hidden in (256, 64)
}
PARTS: dict[str, Mapping[str, Setup | OffPolicySetup]] = {"ppo": SETUPS, "dqn": DQN_SETUPS, "sac": SAC_SETUPS}
ALL_SETUPS: dict[str, Setup | OffPolicySetup] = {**SETUPS, **DQN_SETUPS, **SAC_SETUPS}

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


def peak_rss_mb() -> float:
    """Return the peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one_thread() -> None:
    """Set one thread per process. Call it before torch is imported."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["MKL_NUM_THREADS"] = "1"


def hand_over(result: dict[str, Any]) -> None:
    """Print the measurement as the last line of standard output, after the output of libraries."""
    sys.stdout.flush()
    print("\n" + json.dumps(result), flush=True)


class Stopwatch:
    """Sum of the time in one function, to separate training from evaluation. clock: of seconds."""

    def __init__(self, function: Callable[..., Any], clock: Callable[[], float] = time.perf_counter) -> None:
        self.function, self.clock, self.seconds = function, clock, 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        started = self.clock()
        try:
            return self.function(*args, **kwargs)
        finally:
            self.seconds += self.clock() - started


def measurement(
    env_steps: float, wall_s: float, evaluation_s: float, first_tenth_s: float, score: float
) -> dict[str, Any]:
    """Return the measurement of a run. env_steps, wall_s and evaluation_s are of the last nine tenths of the budget.

    The first tenth, with everything that a library does once (except imports), is reported separately."""
    return {
        "env_steps_per_s": env_steps / wall_s,
        "training_env_steps_per_s": env_steps / (wall_s - evaluation_s),
        "evaluation_s": evaluation_s,
        "timed_env_steps": env_steps,
        "first_tenth_s": first_tenth_s,
        "return_mean": score,
        "peak_rss_mb": peak_rss_mb(),
    }
