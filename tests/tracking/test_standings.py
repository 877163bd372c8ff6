"""Pareto front and violated constraints in MLflow: tags of runs, metrics and description of the sweep."""

from __future__ import annotations

from tuneexp.tracking.descriptions import sweep_result
from tuneexp.tracking.outbox_records import SWEEP_STARTED, TRIAL_STARTED, SweepLog, record
from tuneexp.tracking.standings import Standings

TWO = Standings(("return_mean", "wall_s"), front=(2,), violated={1: ("wall_s<=9",)}, completed=(0, 1, 2))


def test_each_completed_trial_has_its_standing_as_tags() -> None:
    assert TWO.tags == {
        0: {"pareto_front": "false"},
        1: {"pareto_front": "false", "violated": "wall_s<=9"},
        2: {"pareto_front": "true"},
    }
    assert Standings(violated={1: ("wall_s<=9",)}, completed=(0, 1)).tags == {1: {"violated": "wall_s<=9"}}
    assert Standings(completed=(0, 1)).tags == {}


def test_tags_are_of_the_present_run_of_a_trial() -> None:
    log = SweepLog()
    log.apply(record(SWEEP_STARTED, sweep_id="1", params={}))
    log.apply(record(TRIAL_STARTED, trial=2, draw=1, params={}))  # drawn again after a kill
    assert log.by_key({2: {"pareto_front": "true"}}) == [["2.1", {"pareto_front": "true"}]]


def test_the_description_has_the_front_or_the_best_value() -> None:
    assert sweep_result(None, {"completed": 3}, TWO.objectives, ["2.1"]) == (
        "**Pareto front of `return_mean`, `wall_s`: [trial 2](run:2.1).** 3 completed"
    )
    best = {"trial": 0, "draw": 0, "metrics": {"objective": 5.0, "wall_s": 12.5}}
    assert (
        sweep_result(best, {"completed": 1}, ("wall_s",)) == "**Best `wall_s` 12.5: [trial 0](run:0.0).** 1 completed"
    )
    assert Standings(("wall_s",)).best(best["metrics"]) == {"best_objective": 5.0, "best_wall_s": 12.5}
