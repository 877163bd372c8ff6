"""Scores of seeds from the reports of a trial."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp.sweep.confirming.scores import scores_of, worst_return
from tuneexp.trial.trial_config import ObjectiveConfig

# Reports of the seeds 4, 5 and 7.
REPORTS = [
    {"env_steps": 10, "seed/4/return_mean": 1.0, "seed/5/return_mean": 10.0, "seed/7/return_mean": 3.0},
    {"env_steps": 20, "seed/4/return_mean": 3.0, "seed/5/return_mean": 20.0, "seed/7/return_mean": 9.0},
    {"env_steps": 30, "seed/4/return_mean": 5.0, "seed/5/return_mean": 0.0, "seed/7/return_mean": 6.0},
    {"env_steps": 40, "seed/4/return_mean": 7.0, "seed/5/return_mean": 2.0, "seed/7/return_mean": 3.0},
]


def objective(**changes: Any) -> ObjectiveConfig:
    return ObjectiveConfig.model_validate(changes)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("last", [7.0, 2.0, 3.0]),
        ("window", [5.0, 22 / 3, 6.0]),
        ("auc", [4.0, 8.0, 5.25]),
        ("best", [3.0, 20.0, 9.0]),  # the report with the highest mean
    ],
)
def test_each_seed_has_the_objective_of_the_sweep(kind: str, expected: list[float]) -> None:
    found = scores_of(REPORTS, [4, 5, 7], objective(kind=kind), worst_return(REPORTS))
    assert found is not None
    assert list(found.scores) == [4, 5, 7]
    assert list(found.scores.values()) == pytest.approx(expected)
    assert found.diverged == []


def test_a_seed_that_diverged_has_the_worst_evaluation_of_all_whatever_the_sweep_does_with_it() -> None:
    gone = [*REPORTS[:3], {**REPORTS[3], "seed/5/failed": 1.0, "failed_seeds": 1.0}]
    for failed_seeds in ("worst", "ignore", "fail"):
        found = scores_of(gone, [4, 5, 7], objective(failed_seeds=failed_seeds), worst=-20.0)
        assert found is not None
        assert found.scores == {4: 7.0, 5: -20.0, 7: 3.0}
        assert found.diverged == [5]


def test_a_return_that_was_not_finite_counts_as_the_worst() -> None:
    reports = [{name: value for name, value in REPORTS[3].items() if name != "seed/7/return_mean"}]
    found = scores_of(reports, [4, 5, 7], objective(), worst_return(reports))
    assert found is not None
    assert found.scores == {4: 7.0, 5: 2.0, 7: 2.0}
    assert scores_of([], [4], objective(), 0.0) is None


def test_metrics_of_several_policies_are_no_returns_of_seeds() -> None:
    assert worst_return([{"seed/0/return_mean": 3.0, "seed/0/policy_a/return_mean": -9.0, "return_mean": -50.0}]) == 3.0
