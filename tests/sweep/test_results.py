"""Results of a stored sweep: typed rows, and the JSON that is made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faults.stored import store_sweep
from tuneexp.report.leaderboard import TrialState, leaderboard_rows, render_leaderboard
from tuneexp.sweep import TrialResult, load_sweep
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.storage.records import front_of

TRIAL = ["trial_id", "trial_number", "status", "outcome", "reason", "objective", "env_steps", "wall_s", "config",
         "checkpoint", "objectives", "violated", "checkpoints", "env_steps_spent", "continues_from", "takeovers",
         "mlflow_run_id"]  # fmt: skip


def test_trials_and_best_are_typed_and_their_json_has_the_stored_fields(tmp_path: Path) -> None:
    store_sweep(tmp_path)
    result = load_sweep("kept", tmp_path)
    assert [(type(trial), trial.trial_number, trial.status) for trial in result.trials] == [
        (TrialResult, 0, "ended"),
        (TrialResult, 1, "interrupted"),  # the snapshot has "running", and no process holds the sweep
    ]
    assert result.best is result.trials[0]
    json = result.as_json()
    names = ["name", "storage", "state", "ended_by", "best", "trials", "mlflow", "front", "objectives"]
    assert list(json) == [*names, "confirmations"]
    assert (json["front"], json["objectives"]) == ([0], [{"name": "objective", "direction": "max"}])
    assert json["trials"][0]["objectives"] == {"objective": 20.0}  # an earlier version stored no values
    assert list(json["best"]) == ["trial_id", "trial_number", "objective", "config", "checkpoint"]
    assert [list(trial) for trial in json["trials"]] == [TRIAL] * 2
    assert {**json["trials"][0], **json["best"]} == json["trials"][0]
    assert json["best"]["checkpoint"] == str(tmp_path / "kept/trial_00000_id0/checkpoint_000000")


def test_the_front_has_completed_trials_that_keep_the_constraints() -> None:
    def ended(number: int, values: tuple[float, float], **fields: Any) -> TrialResult:
        objectives = dict(zip(("return_mean", "wall_s"), values, strict=True))
        common = {"status": "ended", "outcome": "completed", "reason": None, "objective": values[0], "env_steps": 9}
        kept = {"wall_s": values[1], "config": {}, "checkpoint": None, "objectives": objectives}
        return TrialResult(trial_id=f"id{number}", trial_number=number, **{**common, **kept, **fields})

    trials = [
        ended(0, (5.0, 5.0)), ended(1, (9.0, 9.0)), ended(2, (4.0, 6.0)), ended(3, (1.0, 1.0), outcome="pruned"),
        ended(4, (99.0, 1.0), violated=["wall_s>=2"]), ended(5, (5.0, 5.0)),
    ]  # fmt: skip
    two = Objectives(("return_mean", "wall_s"), ("max", "min"))
    assert front_of(trials, two) == [0, 1, 5]
    assert front_of(trials, Objectives(("wall_s",), ("min",))) == [0]  # one: the best
    rows = leaderboard_rows(map(TrialState.of, trials), objectives=two)
    assert [(row.trial, row.standing) for row in rows] == [
        (1, "front"), (0, "front"), (5, "front"), (2, ""), (4, "infeasible"), (3, ""),
    ]  # fmt: skip
    assert [str(column.header) for column in render_leaderboard(rows, objectives=two.names).columns] == [
        "trial", "return_mean", "wall_s", "env steps", "outcome", "",
    ]  # fmt: skip
