"""Optuna's brute-force sampler with a test for exhaustion."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna import Study
from optuna.distributions import FloatDistribution
from optuna.samplers import _brute_force as of_optuna
from optuna.trial import FrozenTrial, TrialState

from tuneexp.sweep.search.samplers.random_study import random_study, valid_trials
from tuneexp.sweep.search.space import InfeasiblePoint, SearchSpace

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
        """Return the number of combinations, or `at_most`, from a study of trials that are not run."""
        study = optuna.create_study(sampler=BruteForceSampler(seed=0))
        valid = 0
        while valid < at_most and not self.is_exhausted(study):
            trial = study.ask()
            try:
                space.suggest(trial)
                valid += 1
            except InfeasiblePoint:
                pass
            study.tell(trial, state=TrialState.FAIL)
        return valid

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Do nothing: Optuna's sampler would call `study.stop()` here."""


def continuous_names(space: SearchSpace) -> list[str]:
    """Return the Optuna names of ranges without a step, found in random suggestions."""
    ranges = [one for trial in valid_trials(random_study(space)) for one in trial.distributions.items()]
    return list({name: 0 for name, one in ranges if isinstance(one, FloatDistribution) and one.step is None})
