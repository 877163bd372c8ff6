"""A sampler that sees pruned trials as completed ones, with their score carried to the full budget."""

from __future__ import annotations

import copy
import math
from collections.abc import Container, Sequence
from typing import Any, cast

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuneexp.sweep.search.samplers.carry import Curve, Floats, carried_scores
from tuneexp.sweep.search.samplers.without_result import has_result

_Key = tuple[tuple[int, TrialState, int, int], ...]


class CarryingSampler(BaseSampler):
    """Show an Optuna sampler the trials of the study with pruned ones completed.

    For samplers that ignore pruned trials. The study itself is not changed. A study with several objectives is shown
    as it is.

    Args:
        sampler: The sampler that suggests.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self.sampler = sampler
        self._seen: tuple[_Key, dict[int, FrozenTrial]] | None = None

    def _shown(self, study: Study) -> Study:
        return cast(Study, _ShownStudy(study, self._completed(study)))

    def _completed(self, study: Study) -> dict[int, FrozenTrial]:
        """Return trial number -> completed copy of each pruned trial with a score."""
        if study._is_multi_objective():
            return {}
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        key = tuple((t.number, t.state, len(t.intermediate_values), len(t.constraints)) for t in ended)
        if self._seen is None or self._seen[0] != key:
            self._seen = key, completed(ended, study.direction)
        return self._seen[1]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(self._shown(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.sampler.sample_relative(self._shown(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.sampler.sample_independent(self._shown(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.sampler.before_trial(self._shown(study), trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.sampler.after_trial(self._shown(study), trial, state, values)

    def reseed_rng(self) -> None:
        self.sampler.reseed_rng()

    def __str__(self) -> str:
        return f"{self.sampler} with pruned trials carried to the full budget"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_seen": None}


class _ShownStudy:
    """A study in which pruned trials are replaced by `completed` copies, by trial number."""

    def __init__(self, study: Study, completed: dict[int, FrozenTrial]) -> None:
        self._study, self._completed = study, completed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = [self._completed.get(t.number, t) for t in self._study._get_trials(False, None, use_cache)]
        kept = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(kept) if deepcopy else kept

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    @property
    def trials(self) -> list[FrozenTrial]:
        return self._get_trials()


def completed(ended: Sequence[FrozenTrial], direction: StudyDirection) -> dict[int, FrozenTrial]:
    """Return trial number -> a completed copy of each pruned trial, with its score carried to the full budget.

    Args:
        ended: Completed and pruned trials of a study with one objective.
        direction: Direction of the objective.

    Returns:
        The copies. A pruned trial without a finite score has none. The values of trials without a result are no scores.
    """
    ended = [trial for trial in ended if has_result(trial)]
    sign = -1.0 if direction == StudyDirection.MINIMIZE else 1.0
    reports = {trial.number: _reports(trial, sign) for trial in ended}
    curves = [
        Curve(*reports[trial.number], sign * trial.values[0])
        for trial in ended
        if trial.state == TrialState.COMPLETE and math.isfinite(trial.values[0])
    ]
    pruned = [trial for trial in ended if trial.state == TrialState.PRUNED and len(reports[trial.number][0])]
    last = np.array([[column[-1] for column in reports[trial.number]] for trial in pruned]).reshape(-1, 2)
    floor = min([last[:, 1].min(initial=math.inf), *(min([*curve.scores, curve.final]) for curve in curves)])
    scores = sign * carried_scores(last[:, 1], last[:, 0], curves, floor)
    return {trial.number: _completed(trial, float(score)) for trial, score in zip(pruned, scores, strict=True)}


def _reports(trial: FrozenTrial, sign: float) -> tuple[Floats, Floats]:
    """Return the steps and the scores of the finite reports, ascending."""
    finite = sorted((step, sign * score) for step, score in trial.intermediate_values.items() if math.isfinite(score))
    table = np.array(finite, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _completed(trial: FrozenTrial, score: float) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.state, shown.values = TrialState.COMPLETE, [score]
    return shown
