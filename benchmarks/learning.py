"""Does PPO learn? Five seeds at once, 100,000 steps each; the final deterministic policy plays 20 episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.running import ours
from benchmarks.work import SETUPS

SEEDS = [0, 1, 2, 3, 4]
BUDGET_ENV_STEPS = 100_000


@dataclass(frozen=True)
class Task:
    """One configuration and what is asked of it: each seed, or the mean of the seeds, at least `wanted`."""

    title: str
    env: str
    hyperparameters: dict[str, Any]
    wanted: float
    each_seed: bool

    def reached(self, per_seed: list[float]) -> bool:
        return (min(per_seed) if self.each_seed else sum(per_seed) / len(per_seed)) >= self.wanted

    def asked(self) -> str:
        return f"{self.wanted:g} on each seed" if self.each_seed else f"{self.wanted:g} in the mean of the seeds"


def _cartpole(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in asdict(SETUPS["short"]).items() if key != "title"} | changes


TASKS = {
    "cartpole_linear": Task(
        f"{SETUPS['short'].title}; learning rate and clip range fall linearly to 0, as RL Zoo publishes it",
        "CartPole-v1",
        _cartpole(learning_rate="linear:0.001", clip_range="linear:0.2"),
        475.0,
        each_seed=True,
    ),
    "cartpole_constant": Task(
        f"{SETUPS['short'].title}; both constant", "CartPole-v1", _cartpole(), 475.0, each_seed=True
    ),
    "pendulum": Task(
        "4 x 1024 steps, minibatch 64, 10 epochs, gamma 0.9, lambda 0.95, learning rate 1e-3",
        "Pendulum-v1",
        {"n_envs": 4, "n_steps": 1024, "batch_size": 64, "n_epochs": 10, "gamma": 0.9, "gae_lambda": 0.95,
         "learning_rate": 1e-3},
        -250.0,
        each_seed=False,
    ),
}  # fmt: skip


def measure(say: Callable[[str], None] = print) -> dict[str, Any]:
    """task -> scores of the seeds and what they took."""
    rows = {}
    for name, task in TASKS.items():
        rows[name] = measured = ours("benchmarks.ours_learning", name)
        say(f"{name}: {[round(score) for score in measured['return_per_seed']]} ({task.asked()})")
    return {"rows": rows}
