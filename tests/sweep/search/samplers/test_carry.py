"""Pruned trials with their score carried to the full budget."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from tuneexp.sweep.search.samplers.carry import Curve, carried_scores, shares_done
from tuneexp.sweep.search.samplers.carrying import CarryingSampler, completed

optuna.logging.set_verbosity(optuna.logging.WARNING)


def curve(reports: dict[int, float], final: float) -> Curve:
    return Curve(np.array(list(reports), float), np.array(list(reports.values()), float), final)


def carried(scores: list[float], steps: list[int], curves: list[Curve], floor: float) -> list[float]:
    return carried_scores(np.array(scores), np.array(steps, float), curves, floor).tolist()


# At step 100: 30 of 90 above the floor, 40 of 100, 60 of 120.
CURVES = [curve({100: 40, 900: 100}, 100), curve({100: 50, 900: 110}, 110), curve({100: 70, 900: 130}, 130)]


def test_the_share_is_the_median_of_the_completed_trials() -> None:
    assert shares_done(np.array([100.0]), CURVES, 10).tolist() == pytest.approx([0.4])


def test_a_pruned_score_rises_above_the_worst_score_by_that_share() -> None:
    assert carried([20, 30], [100, 100], CURVES, 10) == pytest.approx([10 + 10 / 0.4, 10 + 20 / 0.4])


def test_between_two_reports_the_curve_is_a_line() -> None:
    # At step 500: 60, 70 and 90 of 90, 100 and 120 above the floor.
    assert carried([31], [500], CURVES, 10) == pytest.approx([10 + 21 / 0.7])


def test_no_score_is_carried_above_the_best_one_and_none_is_lowered() -> None:
    assert carried([90, 140], [100, 100], CURVES, 10) == [130, 140]


def test_before_a_trial_completes_a_score_stays() -> None:
    assert carried([20], [100], [], 10) == [20]


def test_before_the_first_report_of_all_curves_a_score_stays() -> None:
    assert carried([20], [50], CURVES, 10) == [20]


def test_negative_scores_are_carried_alike() -> None:
    """Pendulum's returns: a third of the way above the worst after 100 steps."""
    curves = [curve({100: -1100, 900: -200}, -200)]  # floor -1600: 500 of 1400
    assert carried([-1350], [100], curves, -1600) == pytest.approx([-1600 + 250 * 2.8])


def study_of(trials: list[tuple[TrialState, dict[int, float]]], direction: str = "maximize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    for state, reports in trials:
        value = list(reports.values())[-1] if state == TrialState.COMPLETE else None
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=value,
                params={"x": 0.5},
                distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
                intermediate_values=reports,
            )
        )
    return study


COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


def test_a_study_with_a_minimum_is_carried_downwards() -> None:
    trials = [(COMPLETE, {100: 8.0, 300: 6.0}), (PRUNED, {100: 10.0}), (PRUNED, {100: 9.0})]
    # The worst is 10. The completed one has 2 of 4 at step 100, so 1 below the worst becomes 2.
    shown = completed(study_of(trials, "minimize").trials, optuna.study.StudyDirection.MINIMIZE)
    assert {number: trial.value for number, trial in shown.items()} == {1: 10.0, 2: 8.0}


def test_pruned_trials_without_a_finite_score_stay_pruned() -> None:
    study = study_of([(COMPLETE, {100: 1.0}), (PRUNED, {}), (PRUNED, {100: math.nan}), (FAIL, {100: 2.0})])
    assert completed(study.trials, study.direction) == {}


class Watching(optuna.samplers.RandomSampler):
    """Notes the trials that it is shown."""

    seen: list[Any]

    def sample_independent(self, study: optuna.Study, *rest: Any) -> Any:
        self.seen = [(trial.state, trial.value) for trial in study.get_trials()]
        return super().sample_independent(study, *rest)


def test_the_sampler_sees_completed_trials_and_the_study_keeps_pruned_ones() -> None:
    study = study_of([(COMPLETE, {100: 5.0, 300: 10.0}), (PRUNED, {100: 0.0}), (PRUNED, {100: 2.0})])
    inner = Watching(seed=0)
    study.sampler = CarryingSampler(inner)
    study.ask().suggest_float("x", 0, 1)
    assert inner.seen[:3] == [(COMPLETE, 10.0), (COMPLETE, 0.0), (COMPLETE, 4.0)]
    assert [trial.state for trial in study.trials[:3]] == [COMPLETE, PRUNED, PRUNED]


def test_a_trial_that_goes_on_is_no_longer_shown_as_completed() -> None:
    study = study_of([(COMPLETE, {100: 5.0, 300: 10.0})])
    inner = Watching(seed=0)
    study.sampler = CarryingSampler(inner)
    trial = study.ask()
    trial.report(2.0, 100)
    study.tell(trial, state=PRUNED)
    study.ask().suggest_float("x", 0, 1)
    assert inner.seen[1] == (COMPLETE, 2.0)  # the worst score so far
    storage: Any = study._storage
    frozen = storage.get_trial(trial._trial_id)
    frozen.state = TrialState.RUNNING
    storage._set_trial(trial._trial_id, frozen)
    study.ask().suggest_float("x", 0, 1)
    assert inner.seen[1][0] == TrialState.RUNNING


def quality(sampler: optuna.samplers.BaseSampler, seed: int) -> float:
    """Mean distance to the optimum of the second half of 60 trials, of which about two thirds are pruned."""
    rng, distances = np.random.default_rng(seed), []
    study = optuna.create_study(direction="maximize", sampler=sampler)
    rung: list[float] = []
    for _ in range(60):
        trial = study.ask()
        x = np.array([trial.suggest_float(f"x{index}", 0, 1) for index in range(3)])
        distance = float(np.abs(x - 0.3).mean())
        distances.append(distance)
        early, final = 100 - 100 * distance + rng.normal(), 300 - 300 * distance
        trial.report(early, 100)
        rung.append(early)
        if sorted(rung, reverse=True).index(early) >= max(1, len(rung) // 3):
            study.tell(trial, state=PRUNED)
        else:
            trial.report(final, 900)
            study.tell(trial, final)
    return float(np.mean(distances[30:]))


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
        lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=8),
    ],
    ids=["cmaes", "nsga2"],
)
def test_it_learns_from_pruned_trials(make: Any) -> None:
    plain = np.mean([quality(make(seed), seed) for seed in range(4)])
    carrying = np.mean([quality(CarryingSampler(make(seed)), seed) for seed in range(4)])
    assert carrying < 0.9 * plain, (carrying, plain)


def test_its_pickle_holds_no_trials() -> None:
    study = study_of([(COMPLETE, {100: 5.0, 300: 10.0}), (PRUNED, {100: 2.0})])
    study.sampler = CarryingSampler(optuna.samplers.RandomSampler(seed=0))
    study.ask().suggest_float("x", 0, 1)
    assert pickle.loads(pickle.dumps(study.sampler))._seen is None
