"""Objectives, constraints on metrics, and their names."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tuneexp.errors import UserError
from tuneexp.sweep.search.choice import build_scheduler
from tuneexp.sweep.search.metrics import check_metrics
from tuneexp.sweep.search.objectives import Constraint, ConstraintList, ObjectiveList, Objectives
from tuneexp.sweep.search.schedulers.scheduler import SchedulerContext

RESULT = {"objective": 9.0, "return_mean": 8.0, "time/train_s": 3.0, "env_steps": 500}
TWO = Objectives.of(TypeAdapter(ObjectiveList).validate_python(["return_mean", "wall_s"]), ["wall_s<=2"], 1000)


def test_each_spelling_is_a_name_with_a_direction() -> None:
    asked = ["return_mean", "wall_s", "update/entropy:min", {"name": "objective", "direction": "min"}, "env_steps_to/9"]
    found = [(one["name"], one["direction"]) for one in TypeAdapter(ObjectiveList).validate_python(asked)]
    assert found == [
        ("return_mean", "max"), ("wall_s", "min"), ("update/entropy", "min"), ("objective", "min"),
        ("env_steps_to/9", "min"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ([], "list"), (["update/entropy"], "entropy:max"), (["walls"], "did you mean 'wall_s'"),
        ([""], "return_mean, return_std"), (["wall_s:up"], "wall_s:min"), (["wall_s", "wall_s:max"], "twice"),
        (["env_steps_to/x"], "475"), ([{"name": "wall_s", "weight": 2}], "weight"), ([3], "direction"),
    ],
)  # fmt: skip
def test_a_wrong_objective_is_refused(asked: Any, word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        TypeAdapter(ObjectiveList).validate_python(asked)


@pytest.mark.parametrize("text", ["wall_s<600", "wall_s<=ten", "600>=wall_s x", "wall_s<=inf", ""])
def test_a_wrong_constraint_is_refused(text: Any) -> None:
    with pytest.raises(ValidationError, match="METRIC<=NUMBER"):
        TypeAdapter(ConstraintList).validate_python([text])


def test_a_violation_is_relative_to_the_bound() -> None:
    assert Constraint.parse("wall_s <= 600").violation(900.0) == 0.5
    assert Constraint.parse("return_mean>=-200").violation(-300.0) == 0.5
    assert Constraint.parse("return_mean>=0").violation(0.0) == 0.0
    assert Constraint.parse("wall_s<=600").violation(math.nan) > 0


def test_values_have_their_own_signs_and_scores_are_maximized() -> None:
    values = TWO.values(RESULT)
    assert values == [8.0, 3.0]
    assert TWO.of_optuna == ["maximize", "minimize"]
    assert TWO.score(values) == (8.0, -3.0)
    assert Objectives().score([9.0]) == 9.0
    assert TWO.violations(RESULT) == {"wall_s<=2": 0.5}


def test_a_report_without_a_finite_score_has_no_values() -> None:
    assert TWO.values({**RESULT, "objective": math.nan}) is None
    assert TWO.values({**RESULT, "return_mean": math.inf}) is None
    assert TWO.values(None) is None


def test_a_score_that_was_not_reached_counts_twice_the_budget() -> None:
    steps = Objectives.of([{"name": "env_steps_to/9", "direction": "min"}], budget_env_steps=1000)
    assert steps.values(RESULT) == [2000.0]
    assert steps.values({**RESULT, "env_steps_to/9": 300}) == [300.0]
    assert steps.scores_to_reach == ["9"]


def test_a_metric_that_is_never_reported_is_refused() -> None:
    check_metrics(["wall_s", "env_steps_to/9"], 1, lambda: pytest.fail("not needed"))
    check_metrics(["update/entropy"], 1, lambda: ["update/entropy"])
    with pytest.raises(UserError, match=r"'update/entrop'; did you mean 'update/entropy'"):
        check_metrics(["update/entrop"], 1, lambda: ["update/entropy"])
    with pytest.raises(UserError, match="update/entropy"):
        check_metrics(["a/b"], 1, lambda: ["update/entropy"])
    with pytest.raises(UserError, match="seeds 2"):
        check_metrics(["return_std"], 1, list)


def test_a_scheduler_of_one_objective_is_refused_with_those_of_several() -> None:
    two = SchedulerContext(1000, objectives=2)
    for name in ("fifo", "asha", "hyperband", {"name": "hyperband", "synchronous": True}):
        assert build_scheduler(name, two).several_objectives
    with pytest.raises(UserError, match="asha, hyperband or fifo"):
        build_scheduler("median", two)
