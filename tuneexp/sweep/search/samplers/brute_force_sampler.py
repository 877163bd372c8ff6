"""Optuna's brute-force sampler with a test for exhaustion."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import _brute_force as of_optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from tuneexp.sweep.search.samplers.random_study import random_study, valid_trials
from tuneexp.sweep.search.space import InfeasiblePoint, SearchSpace
from tuneexp.sweep.search.space.grid import next_options

_STARTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL)


class BruteForceSampler(of_optuna.BruteForceSampler):
    """Optuna's sampler with `is_exhausted` instead of `study.stop()`, which fails outside of `study.optimize`.

    A running trial has all its values, so a combination that runs counts as tried."""

    def is_exhausted(self, study: Study) -> bool:
        """Return True if each combination has a trial."""
        trials = study.get_trials(deepcopy=False, states=_STARTED)
        tree = of_optuna._TreeNode()
        self._populate_tree(tree, trials, {})
        return bool(trials) and not tree.is_any_expandable(exclude_running=True)

    def count(self, space: SearchSpace, at_most: int) -> int:
        """Return the number of combinations, or `at_most`. Takes each combination once."""
        valid = 0
        taken: list[int] | None = []
        while valid < at_most and taken is not None:
            trial = _Combination(taken)
            with suppress(InfeasiblePoint):
                space.suggest(trial)
                valid += 1
            taken = trial.following()
        return valid

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Do nothing: Optuna's sampler would call `study.stop()` here."""


class _Combination(FixedTrial):
    """Trial that takes option `taken[depth]` of its suggestion at `depth`, and the first one after that."""

    def __init__(self, taken: list[int]) -> None:
        super().__init__({})
        self._taken = taken
        self._counts: list[int] = []

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._params:
            options = _listed(distribution)
            depth = len(self._counts)
            self._params[name] = options[self._taken[depth] if depth < len(self._taken) else 0]
            self._counts.append(len(options))
        return super()._suggest(name, distribution)

    def following(self) -> list[int] | None:
        """Return the options of the next combination; None after the last one."""
        return next_options(self._taken, self._counts)


def _listed(distribution: Any) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return list(of_optuna._enumerate_candidates(distribution.low, distribution.high, distribution.step))


def continuous_names(space: SearchSpace) -> list[str]:
    """Return the Optuna names of ranges without a step, found in random suggestions."""
    ranges = [one for trial in valid_trials(random_study(space)) for one in trial.distributions.items()]
    return list({name: 0 for name, one in ranges if isinstance(one, FloatDistribution) and one.step is None})
