"""Optuna's study of a sweep for its figures: the sweep's own trials, and the importance of hyperparameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING, Any

from tuneexp.report.page.curves import sampled
from tuneexp.report.page.parts import LeftOut
from tuneexp.report.tables import Rows

if TYPE_CHECKING:
    import optuna

FEWEST_TRIALS = 4  # completed ones, for importances
MOST_LINES, MOST_IN_CONTOUR = 200, 80  # trials in the parallel coordinates and in a contour
SLICES, PAIRED = 8, 3  # the most important hyperparameters in slices and in pairs


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings of Optuna and plotly out of the output."""
    from optuna import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)


def own_study(study: optuna.Study) -> optuna.Study:
    """Return a study of a sweep without the trials of its warm start: its numbers are those of the sweep's trials."""
    import optuna

    from tuneexp.sweep.search.earlier_trials import WARM_START

    own = [trial for trial in study.get_trials(deepcopy=False) if WARM_START not in trial.user_attrs]
    return _study_of(own, study.directions, optuna)


def _study_of(trials: Sequence[Any], directions: Sequence[Any], optuna: Any) -> optuna.Study:
    with quiet():
        made = optuna.create_study(directions=directions, sampler=optuna.samplers.RandomSampler(seed=0))
        made.add_trials(trials)
    return made


def completed_of(study: optuna.Study) -> list[Any]:
    """Return the completed trials of a study."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def evenly_ranked(study: optuna.Study, most: int) -> optuna.Study:
    """Return a study of at most `most` completed trials, evenly spaced in their ranking by the first objective."""
    import optuna

    completed = completed_of(study)
    if len(completed) <= most:
        return study
    chosen = sampled(sorted(completed, key=lambda trial: trial.values[0]), most)
    return _study_of(sorted(chosen, key=lambda trial: trial.number), study.directions, optuna)


def varied_params(study: optuna.Study) -> list[str]:
    """Return the parameters with two values or more among the completed trials, in order of appearance."""
    completed = completed_of(study)
    names = dict.fromkeys(name for trial in completed for name in trial.params)
    return [name for name in names if len({repr(trial.params.get(name)) for trial in completed}) > 1]


def importance_rows(study: optuna.Study, names: Sequence[str]) -> Rows:
    """Compute the importance of hyperparameters for each objective by PED-ANOVA (Watanabe et al. 2023,
    arXiv:2304.10255).

    Args:
        study: From `own_study`.
        names: Names of its objectives.

    Returns:
        Rows `objective`, `hyperparameter` and `importance`, whose sum is 1 for each objective, the largest first.

    Raises:
        LeftOut: Too few trials have completed, or nothing differs between them.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    completed, params = completed_of(study), varied_params(study)
    if len(completed) < FEWEST_TRIALS:
        raise LeftOut(f"it needs {FEWEST_TRIALS} completed trials, and there are {len(completed)}")
    if not params:
        raise LeftOut("no hyperparameter differs between the completed trials")
    rows: Rows = []
    for index, name in enumerate(names):
        if len({trial.values[index] for trial in completed}) < 2:
            continue
        target = _lower_is_better(study, index) if len(names) > 1 else None
        with quiet():
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=params, target=target)
        rows += [{"objective": name, "hyperparameter": param, "importance": float(value)}
                 for param, value in sorted(found.items(), key=lambda item: -item[1])]  # fmt: skip
    if not rows:
        raise LeftOut("all completed trials have the same objective")
    return rows


def _lower_is_better(study: optuna.Study, index: int) -> Callable[[Any], float]:
    """Return the target of an objective. PED-ANOVA takes the lower values of a target as the better ones."""
    sign = -1.0 if study.directions[index].name == "MAXIMIZE" else 1.0
    return lambda trial: sign * trial.values[index]


def important_params(study: optuna.Study, importances: Rows, objective: str) -> list[str]:
    """Return the varied parameters, the most important for an objective first; as they are without importances."""
    ranked = [row["hyperparameter"] for row in importances if row["objective"] == objective]
    return ranked or varied_params(study)


def important_pairs(params: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of the most important parameters, the most important pair first."""
    return list(combinations(params[:PAIRED], 2))
