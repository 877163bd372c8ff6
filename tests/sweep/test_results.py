"""Results of a stored sweep: typed rows, and the JSON that is made from them."""

from __future__ import annotations

from pathlib import Path

from tests.faults.stored import store_sweep
from tuneexp.sweep import TrialResult, load_sweep

TRIAL = ["trial_id", "trial_number", "status", "outcome", "reason", "objective", "env_steps", "wall_s", "config",
         "checkpoint", "mlflow_run_id"]  # fmt: skip


def test_trials_and_best_are_typed_and_their_json_has_the_stored_fields(tmp_path: Path) -> None:
    store_sweep(tmp_path)
    result = load_sweep("kept", tmp_path)
    assert [(type(trial), trial.trial_number, trial.status) for trial in result.trials] == [
        (TrialResult, 0, "ended"),
        (TrialResult, 1, "interrupted"),  # the snapshot has "running", and no process holds the sweep
    ]
    assert result.best is result.trials[0]
    json = result.as_json()
    assert list(json) == ["name", "storage", "state", "ended_by", "best", "trials", "mlflow"]
    assert list(json["best"]) == ["trial_id", "trial_number", "objective", "config", "checkpoint"]
    assert [list(trial) for trial in json["trials"]] == [TRIAL] * 2
    assert {**json["trials"][0], **json["best"]} == json["trials"][0]
    assert json["best"]["checkpoint"] == str(tmp_path / "kept/trial_00000_id0/checkpoint_000000")
