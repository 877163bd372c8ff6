"""An algorithm under test, its settings, and trials of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.testing.value_estimates import ValueFn
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

# Updates after which a trial has moved its parameters and, mostly, its targets.
ENOUGH_UPDATES = 6
MOST_ROUNDS = 1000


class Broken(AssertionError):
    """A fact that doesn't hold, in one or two lines."""


def require(holds: Any, broken: str) -> None:
    """An `assert` that also works under `python -O` and without pytest's rewriting."""
    if not holds:
        raise Broken(broken)


@dataclass(frozen=True)
class Subject:
    """An algorithm under test.

    env: environment of the tests of seeds and checkpoints. kinds: kinds of actions whose probes it must solve.
    tolerance: of the values of probes. kept: results that several tests share.
    """

    spec: AlgorithmSpec
    address: str
    hyperparameters: Mapping[str, Any]
    budget_env_steps: int
    kinds: tuple[str, ...]
    values: ValueFn
    tolerance: float
    env: str
    seeds: tuple[int, ...] = (0, 1, 2)
    kept: dict[Any, Any] = field(default_factory=dict)

    @property
    def has_replay(self) -> bool:
        return issubclass(self.spec.config_class, OffPolicyConfig)

    def config(self, env: Any, seeds: Sequence[int], budget_env_steps: int, **changes: Any) -> TrialConfig:
        """changes: fields of `TrialConfig`; anything else is a hyperparameter."""
        of_trial = {name: value for name, value in changes.items() if name in TrialConfig.model_fields}
        others = {name: value for name, value in changes.items() if name not in of_trial}
        settings = {
            "algorithm": self.address, "env": env, "seeds": list(seeds), "budget_env_steps": budget_env_steps,
            "report_every_env_steps": budget_env_steps, "evaluation": {"episodes": 2, "final_episodes": 2},
            "compile": "off", "hyperparameters": {**self.hyperparameters, **others}, **of_trial,
        }  # fmt: skip
        return TrialConfig.parse(settings, "the contract")

    def trial(self, env: Any, seeds: Sequence[int], budget_env_steps: int, **changes: Any) -> Trial:
        return Trial(self.spec, self.config(env, seeds, budget_env_steps, **changes))

    def short_config(self, seeds: Sequence[int], rounds: int | None = None, **changes: Any) -> TrialConfig:
        """In `env`, with a budget of `rounds` training steps (default: `self.rounds()`)."""
        of_config = {name: value for name, value in changes.items() if name not in TrialConfig.model_fields}
        steps = self._early(of_config).rollout_env_steps()
        budget = (rounds or self.rounds(**of_config)) * steps
        settings = {**self._starts(), **changes}
        return self.config(settings.pop("env", self.env), seeds, budget, **settings)

    def short_trial(self, seeds: Sequence[int], rounds: int | None = None, **changes: Any) -> Trial:
        return Trial(self.spec, self.short_config(seeds, rounds, **changes))

    def rounds(self, **changes: Any) -> int:
        """Training steps until `ENOUGH_UPDATES` were made, those that only collect included."""
        cfg = self._early(changes)
        collecting = cfg.learning_starts // cfg.rollout_env_steps() if isinstance(cfg, OffPolicyConfig) else 0
        learning = -(-ENOUGH_UPDATES // max(1, cfg.updates_per_rollout()))
        return min(collecting + max(2, learning), MOST_ROUNDS)

    def _early(self, changes: Mapping[str, Any]) -> AlgorithmConfig:
        settings = {**self.hyperparameters, **self._starts(), **changes}
        return self.spec.config_class.parse(settings, self.spec.name)

    def _starts(self) -> dict[str, Any]:
        """A few minibatches are collected at most, however long the algorithm would do so elsewhere."""
        if not self.has_replay:
            return {}
        cfg: Any = self.spec.config_class.parse(self.hyperparameters, self.spec.name)
        return {"learning_starts": min(cfg.learning_starts, 4 * cfg.batch_size)}


def training_steps(trial: Trial, rounds: int | None = None) -> Trial:
    """`rounds` training steps without reports, or as many as its budget has. Returns the trial."""
    before = trial.learner.n_updates
    left = rounds if rounds is not None else 10**9
    while left and not trial.done:
        trial.training_step()
        left -= 1
    require(trial.learner.n_updates > before, "nothing was learned: no update within the budget")
    return trial


def of_seed(trial: Trial, index: int) -> dict[str, Tensor]:
    """Copy of one seed's parameters, by the index of the seed."""
    return {name: leaf[index].clone() for name, leaf in trial.learner.parameters.items()}


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Paths at which two trees of dicts, lists, tensors and arrays differ, bit by bit; NaN equals NaN."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return [f"{path}: {sorted(map(str, a.keys() ^ b.keys()))} on one side only"]
        return [found for key in a for found in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if len(a) != len(b):
            return [f"{path}: lengths {len(a)} and {len(b)}"]
        return [found for i, pair in enumerate(zip(a, b, strict=True)) for found in differences(*pair, f"{path}/{i}")]
    if isinstance(a, Tensor | np.ndarray):
        one, other = np.asarray(a), np.asarray(b)
        return [] if np.array_equal(one, other, equal_nan=one.dtype.kind == "f") else [path]
    return [] if a == b or (a != a and b != b) else [f"{path}: {a} and {b}"]


def first_of(found: Sequence[str]) -> str:
    """The first few of many, for a message."""
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Euclidean distance of two seeds' parameters."""
    return float(torch.stack([(a[name] - b[name]).double().square().sum() for name in a]).sum().sqrt())
