"""Objective of a trial."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tuneexp.statistics.aggregates import aggregate
from tuneexp.trial.objective import Objective
from tuneexp.trial.trial_config import ObjectiveConfig

HISTORY = [[1.0, 3.0], [10.0, 6.0], [2.0, 4.0], [5.0, 7.0]]


def judged(history: list[list[float]], failed: list[list[bool]] | None = None, **config: Any) -> Objective:
    objective = Objective(ObjectiveConfig(**config), seeds=list(range(len(history[0]))))
    for index, returns in enumerate(history):
        gone = failed[index] if failed else [False] * len(returns)
        objective.add(np.array(returns), np.array(gone))
    return objective


@pytest.mark.parametrize(("kind", "value"), [("last", 6.0), ("best", 8.0), ("window", 17 / 3), ("auc", 19 / 4)])
def test_the_kinds_of_objective(kind: str, value: float) -> None:
    assert judged(HISTORY, kind=kind).value() == pytest.approx(value)
    assert judged(HISTORY, kind=kind).last() == 6.0


@pytest.mark.parametrize(("how", "value"), [("mean", 22.6), ("min", 1.0), ("median", 4.0), ("iqm", 11 / 3)])
def test_the_aggregates_over_seeds(how: str, value: float) -> None:
    assert aggregate([1.0, 100.0, 3.0, 4.0, 5.0], how) == pytest.approx(value) or how == "iqm"
    if how == "iqm":
        assert aggregate([1.0, 100.0, 3.0, 4.0, 5.0], how) == pytest.approx(4.0)  # 3, 4 and 5
    assert np.isnan(aggregate([], how))


@pytest.mark.parametrize(("rule", "value"), [("worst", (1.0 + 8.0) / 2), ("ignore", 8.0)])
def test_a_failed_seed_scores_by_the_rule(rule: str, value: float) -> None:
    history, failed = [[1.0, 3.0], [50.0, 8.0]], [[False, False], [True, False]]
    assert judged(history, failed, failed_seeds=rule).value() == pytest.approx(value)


def test_the_rule_fail_gives_no_objective() -> None:
    history, failed = [[1.0, 3.0], [50.0, 8.0]], [[False, False], [True, False]]
    for kind in ("last", "best", "window", "auc"):
        assert np.isnan(judged(history, failed, failed_seeds="fail", kind=kind).value())


@pytest.mark.parametrize("rule", ["worst", "ignore", "fail"])
def test_nothing_is_left_where_every_seed_failed(rule: str) -> None:
    objective = judged([[1.0, 3.0], [9.0, 9.0]], [[False, False], [True, True]], failed_seeds=rule)
    assert np.isnan(objective.value())
    assert np.isnan(objective.last())


@pytest.mark.parametrize(
    ("kind", "bounds"), [("last", (5.0, 7.0)), ("best", (6.0, 10.0)), ("window", (17 / 3, 17 / 3)), ("auc", (4.5, 5.0))]
)
def test_the_interval_is_of_the_same_evaluations_as_the_objective(kind: str, bounds: tuple[float, float]) -> None:
    objective = judged(HISTORY, kind=kind)
    assert objective.interval() == pytest.approx(bounds)  # of two seeds: their range
    assert objective.metrics() == {
        "objective": objective.value(), "objective_low": bounds[0], "objective_high": bounds[1],
        "objective_se": objective.standard_error(), "return_mean": objective.last(), "return_std": 1.0,
    }  # fmt: skip


def test_the_standard_error_is_of_the_mean_over_the_seeds_that_count() -> None:
    objective = judged([[1.0, 2.0, 6.0]])
    assert objective.standard_error() == pytest.approx(np.std([1.0, 2.0, 6.0], ddof=1) / 3**0.5)


@pytest.mark.parametrize("how", ["mean", "min", "median", "iqm"])
def test_the_interval_holds_the_aggregate(how: str) -> None:
    objective = judged([[1.0, 100.0, 3.0, 4.0, 5.0, 7.0, 9.0, 2.0]], aggregate=how)
    low, high = objective.interval() or (np.nan, np.nan)
    assert low <= objective.value() <= high
    assert low < high


def test_there_is_no_interval_over_one_seed_or_of_no_objective() -> None:
    assert judged([[1.0], [2.0]]).metrics() == {"objective": 2.0, "return_mean": 2.0}
    assert judged([[1.0, 2.0], [3.0, 4.0]], [[False, False], [True, False]], failed_seeds="ignore").interval() is None
    assert judged([[1.0, 2.0], [3.0, 4.0]], [[False, False], [True, True]]).interval() is None


def test_the_first_evaluation_that_reaches_a_score_is_kept_through_a_restore() -> None:
    objective = Objective(ObjectiveConfig(), [0, 1], ["5", "90"])
    for env_steps, value in ((100, 4.0), (200, 5.0), (300, 9.0)):
        objective.add(np.array([value, value]), np.zeros(2, bool), env_steps)
    restored = Objective(ObjectiveConfig(), [0, 1], ["5", "90"])
    restored.load_state_dict(json.loads(json.dumps(objective.state_dict())))
    restored.add(np.array([99.0, 99.0]), np.zeros(2, bool), 400)
    assert {name: value for name, value in restored.metrics().items() if "env_steps_to" in name} == {
        "env_steps_to/5": 200,
        "env_steps_to/90": 400,
    }


def test_a_restored_objective_continues() -> None:
    objective = judged(HISTORY[:2], kind="best")
    restored = Objective(ObjectiveConfig(kind="best"), [0, 1])
    restored.load_state_dict(json.loads(json.dumps(objective.state_dict())))
    for one in (objective, restored):
        one.add(np.array([0.0, 0.0]), np.array([True, False]))
    assert restored.value() == objective.value() == 8.0
    assert restored.last() == objective.last() == 0.0
