"""Eager start: with an unknown budget, programs are compiled after the first report only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.learning.compile.build import CompileMode
from tuneexp.learning.devices import CPU, device_of
from tuneexp.trial.trial_config import TrialConfig

# When programs are asked for. With a core of its own the compiler works beside the training, which goes on eagerly.
EAGER_ENV_STEPS = 2_000
EAGER_UPDATES = 300


def resolved(config: TrialConfig, cfg: Any) -> TrialConfig:
    """Return the configuration with `compile=auto` instead of `later` if there is no eager start.

    Runner and learner processes keep their first programs, and a GPU needs no compiler. cfg: hyperparameters."""
    elsewhere = cfg.num_env_runners or cfg.num_learners
    if config.compile == "later" and (elsewhere or device_of(config.device) != CPU):
        return config.model_copy(update={"compile": "auto"})
    return config


def first_mode(config: TrialConfig) -> CompileMode:
    """Return the compilation mode of the first programs."""
    return "off" if config.compile == "later" else config.compile


def eager_env_steps(cfg: Any) -> int:
    """Return the environment steps per seed of an eager start. Algorithms with frequent updates have fewer."""
    if not isinstance(cfg, AlgorithmConfig):  # of several policies
        return EAGER_ENV_STEPS
    return min(EAGER_ENV_STEPS, EAGER_UPDATES * cfg.rollout_env_steps() // max(1, cfg.updates_per_rollout()))


class EagerStart:
    """Eager start of a trial.

    Args:
        config: from `resolved`.
        cfg: hyperparameters.

    Attributes:
        pending: the switch to compiled programs has not happened yet.
    """

    def __init__(self, config: TrialConfig, cfg: Any) -> None:
        self.config = config
        self._possible = config.compile == "later"
        self._env_steps = eager_env_steps(cfg) if self._possible else 0
        self.pending = self._possible

    def next_report(self, env_steps: int) -> int:
        """Return the environment steps at which the next report is due.

        Reports are due at multiples of the period and, unless the period was set, at the end of the eager start."""
        period = self.config.report_period
        due = min((env_steps // period + 1) * period, self.config.budget_env_steps)
        early = self.config.report_every_env_steps is None and env_steps < self._env_steps
        return min(due, self._env_steps) if early else due

    def is_over(self, env_steps: int) -> bool:
        """Return True if it is time to switch to compiled programs."""
        return self.pending and env_steps >= self._env_steps

    def mode_after_restore(
        self, state: Mapping[str, Any], compiled: bool, compiling: bool = False
    ) -> CompileMode | None:
        """Return the compilation mode to rebuild programs with for a checkpoint; None: the present programs stay.

        Compiled and eager arithmetic differ in rounding. A trial that is resumed within its budget keeps its kind of
        programs, whatever the cache contains now.

        Args:
            state: of the checkpoint.
            compiled: the present programs are compiled.
            compiling: they are to be replaced by compiled ones.
        """
        same_budget = state["config"]["budget_env_steps"] == self.config.budget_env_steps
        before = state.get("eager_start")  # None in a checkpoint of an older version
        self.pending = self._possible and bool(not same_budget if before is None else before)
        other = state["compiled"] != compiled or (compiling and not before)
        keeps = same_budget and self.config.compile in ("auto", "later") and other
        if not keeps or (before and self.config.compile == "auto"):  # it would be compiled from here on
            return None
        return "on" if state["compiled"] else "off"
