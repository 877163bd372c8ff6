"""Small trials of any algorithm, and a minibatch with all columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tuneexp.algorithms.registry import load_spec
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

SMALL: dict[str, dict[str, Any]] = {
    "on": {"n_envs": 2, "n_steps": 16},
    "off": {"buffer_size": 500, "learning_starts": 32, "batch_size": 16},
}


def trial_of(algorithm: str, env: str, seeds: Sequence[int], budget_env_steps: int = 128, **changes: Any) -> Trial:
    """Small trial. changes: fields of `TrialConfig`; anything else is a hyperparameter."""
    of_trial = {key: changes.pop(key) for key in list(changes) if key in TrialConfig.model_fields}
    kind = SMALL["on" if algorithm in ("a2c", "ppo", "impala", "appo") else "off"]
    defaults: dict[str, Any] = {
        "algorithm": algorithm, "env": env, "seeds": list(seeds), "budget_env_steps": budget_env_steps,
        "report_every_env_steps": budget_env_steps, "evaluation": {"episodes": 1, "final_episodes": 1},
        "compile": "off", "hyperparameters": {"model": {"hidden_sizes": [8]}, **kind, **changes},
    }  # fmt: skip
    return Trial(load_spec(algorithm), TrialConfig.parse({**defaults, **of_trial}, "the test"))


def minibatch_of(trial: Trial) -> dict[str, Tensor]:
    """Columns [S, B, ...] and noise of one gradient step. The numbers of a seed don't depend on the other seeds."""
    seeds = trial.config.seeds
    empty = trial.trainer.shapes.minibatch(len(seeds), trial.trainer.programs.columns)
    per_seed = [{name: _filled(name, column[0], seed) for name, column in empty.items()} for seed in seeds]
    return {name: torch.stack([columns[name] for columns in per_seed]) for name in empty}


def _filled(name: str, column: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(100 * seed + sum(name.encode()))
    if not column.is_floating_point():
        return torch.randint(0, 2, column.shape, generator=generator).to(column.dtype)
    if name == "discount":
        return 0.9 * (torch.rand(column.shape, generator=generator) > 0.25).float()
    if name == "weight":
        return 0.5 + 0.5 * torch.rand(column.shape, generator=generator)
    filled = torch.randn(column.shape, generator=generator)
    return filled.tanh() if name == "action" else filled
