"""Facts that every sampler keeps: its random state survives a kill, and trials may end in any order."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from tuneexp.sweep.search.reports import complete_violations, report, set_violations
from tuneexp.sweep.search.samplers import without_result
from tuneexp.sweep.search.samplers.tells import is_exhausted
from tuneexp.sweep.search.space import SearchSpace

MIXED = {
    "lr": {"loguniform": [1e-5, 1e-1]},
    "gamma": {"complement_loguniform": [0.9, 0.999]},
    "width": {"logint": [8, 512]},
    "steps": {"int": [1, 9, 2]},
    "activation": {"choice": ["tanh", "relu", "elu"]},
    "ent": {"choice": [0.0, {"loguniform": [1e-4, 1e-1]}]},
    "tau": {"uniform": [0.0, 1.0], "when": {"activation": "relu"}},
}
FINITE = {
    "width": {"int": [1, 4]},
    "rate": {"quniform": [0.1, 0.5, 0.1]},
    "activation": {"choice": ["tanh", "relu"]},
    "ent": {"choice": [0.0, {"int": [1, 3]}]},
}
Params = dict[str, Any]


@dataclass(frozen=True)
class SamplerSubject:
    """A sampler under test. make: (seed, space) -> a new sampler. space: a space that it can search.

    slow: few suggestions, for a sampler that takes a second for each."""

    make: Callable[[int, SearchSpace], BaseSampler]
    space: SearchSpace
    slow: bool = False

    def study(self, seed: int = 0, objectives: int = 1) -> optuna.Study:
        sampler = self.make(seed, self.space)
        directions: list[Literal["maximize", "minimize"]] = ["maximize", "minimize"]
        return optuna.create_study(
            sampler=sampler, directions=directions[:objectives], pruner=optuna.pruners.NopPruner()
        )


def suggested(subject: SamplerSubject, study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    subject.space.suggest(trial)
    return trial


CONSTRAINT = "wall_s<=600"  # of studies with several objectives
# Outcomes of trials in turn. The first ones end before any trial has a result.
OUTCOMES = ("timeout", "diverged", "pruned", "completed", "error", "completed", "out_of_memory", "completed")


def end(study: optuna.Study, trial: optuna.Trial, outcome: str = "") -> None:
    """End a trial as a sweep does: with an outcome, by default the next one of `OUTCOMES`."""
    outcome = outcome or OUTCOMES[trial.number % len(OUTCOMES)]
    score = sum(float(len(str(value))) for value in trial.params.values()) + trial.number % 3
    values = [score, score % 7][: len(study.directions)]
    if outcome in ("pruned", "completed"):
        report(trial, values, 100)
        if len(values) > 1:
            set_violations(trial, {CONSTRAINT: values[1] / 4 - 1})
    if len(values) > 1:
        complete_violations(trial, {CONSTRAINT: 1.0})
    state = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(outcome, TrialState.FAIL)
    without_result.end(study, trial, outcome, state, values if outcome == "completed" else None)


def play(subject: SamplerSubject, study: optuna.Study, trials: int) -> list[Params]:
    """Suggest and end trials one by one. Returns their parameters."""
    params = []
    for _ in range(trials):
        if is_exhausted(study):
            break
        trial = suggested(subject, study)
        params.append(trial.params)
        end(study, trial)
    return params


def restored_it_suggests_the_same(subject: SamplerSubject) -> None:
    """Pickled after 1, 7 and 12 trials, with one running, it suggests what the undisturbed one suggests.

    After one trial no trial has a result: the first one waits."""
    for before in (7,) if subject.slow else (1, 7, 12):
        study = subject.study()
        play(subject, study, before)
        suggested(subject, study)
        restored = pickle.loads(pickle.dumps(study))
        trials = 2 if subject.slow else 6
        expected = play(subject, study, trials)
        assert play(subject, restored, trials) == expected, f"another suggestion after {before} trials"


def a_seed_repeats_and_another_differs(subject: SamplerSubject) -> None:
    first = play(subject, subject.study(), 8)
    assert play(subject, subject.study(), 8) == first
    assert play(subject, subject.study(seed=1), 8) != first


def trials_may_end_in_any_order(subject: SamplerSubject) -> None:
    """Four trials run at once and end last first; every suggestion stays in the space."""
    study = subject.study()
    for _ in range(2 if subject.slow else 4):
        running = [suggested(subject, study) for _ in range(4)]
        for trial in reversed(running):
            end(study, trial)
    for ended in study.get_trials(deepcopy=False):
        assert ended.state.is_finished()
        for name, distribution in ended.distributions.items():
            assert distribution._contains(distribution.to_internal_repr(ended.params[name])), name


def it_survives_that_no_trial_completes(subject: SamplerSubject) -> None:
    study = subject.study()
    for outcome in ("diverged", "error", "timeout", "pruned") * (2 if subject.slow else 4):
        end(study, suggested(subject, study), outcome)


def it_survives_that_no_trial_has_a_result(subject: SamplerSubject) -> None:
    study = subject.study()
    for _ in range(12):
        end(study, suggested(subject, study), "diverged")
    without_result.give_up(study)
    assert all(trial.state == TrialState.FAIL for trial in study.get_trials(deepcopy=False))


def the_study_is_not_changed_by_a_copy(subject: SamplerSubject) -> None:
    """A suggestion of a pickled copy changes nothing in the study: a resume tries suggestions out."""
    study = subject.study()
    play(subject, study, 8)
    copy = pickle.loads(pickle.dumps(study))
    expected = suggested(subject, copy).params
    assert suggested(subject, study).params == expected


def several_objectives_are_searched_or_refused(subject: SamplerSubject) -> None:
    """With two objectives, a constraint and pruned trials it suggests, and a restored one suggests the same."""
    study = subject.study(objectives=2)
    try:
        play(subject, study, 8 if subject.slow else 12)
    except ValueError as refusal:
        if "multi-objective" not in str(refusal):
            raise
        return
    restored = pickle.loads(pickle.dumps(study))
    trials = 1 if subject.slow else 4
    assert play(subject, study, trials) == play(subject, restored, trials)


def no_point_comes_twice(subject: SamplerSubject) -> None:
    """All combinations are suggested once, four at a time, and then the sampler is exhausted."""
    study = subject.study()
    seen: list[Params] = []
    while not is_exhausted(study):
        running: list[optuna.Trial] = []
        while len(running) < 4 and not is_exhausted(study):
            running.append(suggested(subject, study))
        seen += [trial.params for trial in running]
        for trial in running:
            end(study, trial)
        assert len(seen) < 1000, "it does not end"
    distinct = {str(sorted(params.items())) for params in seen}
    assert len(seen) == len(distinct) == _combinations(subject.space), (len(seen), len(distinct))


def _combinations(space: SearchSpace) -> int:
    from tuneexp.sweep.search.space.grid import grid_of

    return len(grid_of(space))


COMMON: Sequence[Callable[[SamplerSubject], None]] = (
    restored_it_suggests_the_same,
    a_seed_repeats_and_another_differs,
    trials_may_end_in_any_order,
    it_survives_that_no_trial_completes,
    it_survives_that_no_trial_has_a_result,
    the_study_is_not_changed_by_a_copy,
    several_objectives_are_searched_or_refused,
)
