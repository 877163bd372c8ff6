"""Small trials for the tests, all of one shape, so that their programs are compiled once per test run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.training.training_ops import postprocess
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

# Rollouts of 64 steps: long enough that a random CartPole policy falls over in each, at times of each seed's own.
HYPERPARAMETERS: dict[str, Any] = {
    "n_envs": 2,
    "n_steps": 32,
    "batch_size": 16,
    "n_epochs": 2,
    "learning_rate": 1e-3,
    "model": {"hidden_sizes": [8]},
}


def small_config(
    seeds: Sequence[int] = (0, 1), env: Any = "CartPole-v1", rollouts: int = 4, **changes: Any
) -> TrialConfig:
    """changes: fields of `TrialConfig`; anything else is a hyperparameter."""
    of_trial = {key: value for key, value in changes.items() if key in TrialConfig.model_fields}
    hyperparameters = {**HYPERPARAMETERS, **{key: value for key, value in changes.items() if key not in of_trial}}
    steps = hyperparameters["n_envs"] * hyperparameters["n_steps"]
    defaults: dict[str, Any] = {
        "algorithm": "ppo",
        "env": env,
        "seeds": list(seeds),
        "budget_env_steps": rollouts * steps,
        "report_every_env_steps": steps,
        "evaluation": {"episodes": 2, "final_episodes": 2},
        "compile": "off",
        "hyperparameters": hyperparameters,
    }
    return TrialConfig.parse({**defaults, **of_trial}, "the test")


def small_trial(
    seeds: Sequence[int] = (0, 1), env: Any = "CartPole-v1", spec: AlgorithmSpec = PPO, **changes: Any
) -> Trial:
    return Trial(spec, small_config(seeds, env, **changes))


def rollout_batch(trial: Trial) -> dict[str, Tensor]:
    """Training columns [S, R, ...] of one rollout, including `valid`. The learner is unchanged."""
    trial.learner.start_rollout(trial.progress)
    fragment = trial.group.sample(trial.cfg.n_steps)  # type: ignore[attr-defined]
    batch = postprocess(trial.spec.postprocess_fn, trial.learner, fragment, trial.trainer.training.view)
    return dict(batch.to_rows())


def minibatch_of(batch: dict[str, Tensor], rows: int = 16) -> dict[str, Tensor]:
    """The first `rows` valid rows of every seed, [S, rows, ...]."""
    picked = [own.nonzero().squeeze(1)[:rows] for own in batch["valid"]]
    return {
        name: torch.stack([column[seed][index] for seed, index in enumerate(picked)])
        for name, column in batch.items()
        if name != "valid"
    }


def step_on(trial: Trial, minibatch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """One gradient step on columns [S, B, ...]. Returns its metrics, name -> [S], and the updated seeds, [S]."""
    trial.learner.learn_on(minibatch, {}, 0)
    return trial.learner.log.latest()


def training_steps(trial: Trial, n: int) -> list[list[int]]:
    """`n` rounds of sample -> learn -> sync. Returns the number of updates of each seed in each round."""
    taken = []
    for _ in range(n):
        trial.learner.log.summary()
        trial.training_step()
        taken.append(trial.learner.log.updates_per_seed().tolist())
    return taken


def parameters_of(trial: Trial) -> dict[str, Tensor]:
    """A copy of the parameters, name -> [S, ...]."""
    return {name: leaf.clone() for name, leaf in trial.learner.parameters.items()}


def moments_of(trial: Trial) -> list[Tensor]:
    """Adam's moments, flat over all seeds."""
    optimizer = trial.learner.optimizer.optimizer
    return [state[key].clone() for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """True if equal bit for bit; NaN equals NaN."""
    return a.keys() == b.keys() and all(torch.equal(a[name].nan_to_num(), b[name].nan_to_num()) for name in a)
