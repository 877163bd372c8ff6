"""SIGKILL of a stacked population at exact moments, then `tuneexp resume` and a check of every store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import BUDGET, REPORTS, Sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("mlflow_tables")]

MEMBERS = 4
HALF_SUGGESTED = "tuneexp.sweep.search.searchers:StudySearcher.suggest:after:2"
HALF_TOLD = "tuneexp.sweep.search.searchers:StudySearcher.on_trial_complete:after:2"
# In the worker, after members have been replaced and before the report is sent, and before its checkpoint is complete.
COPIED = "tuneexp.trial.population.population_trial:PopulationTrial.copy:after:3"
MEMBER_WRITTEN = "tuneexp.files.checkpoint:_put_in_place:after:8"
SCHEDULER = ("population=stacked", f"interval_env_steps={BUDGET // REPORTS}")


def population(folder: Path) -> Sweep:
    options = tuple(word for option in SCHEDULER for word in ("--scheduler-option", option))
    return Sweep(folder / "runs", trials=MEMBERS, scheduler="pbt", options=options)


def test_kills_of_a_stacked_population_lose_and_double_nothing(tmp_path: Path) -> None:
    undisturbed = population(tmp_path / "undisturbed")
    undisturbed.storage.parent.mkdir()
    expected = undisturbed.finish()
    check_stores(undisturbed, expected)
    sweep = population(tmp_path)
    sweep.kill_at(HALF_SUGGESTED)
    sweep.kill_at(COPIED)
    sweep.kill_at(MEMBER_WRITTEN)
    sweep.kill_at(HALF_TOLD)
    result = sweep.finish()
    check_stores(sweep, result)
    kept = ("trial_number", "config", "objective", "env_steps", "outcome")
    assert [[one[key] for key in kept] for one in result["trials"]] == [
        [one[key] for key in kept] for one in expected["trials"]
    ]
    assert takeovers(sweep) == takeovers(undisturbed)
    assert sum(map(len, takeovers(sweep))) >= 3
    assert sweep.finish() == result  # resuming what is finished changes nothing


def takeovers(sweep: Sweep) -> list[list[dict[str, Any]]]:
    return [record["takeovers"] for record in sorted(sweep.records(), key=lambda one: one["trial_number"])]


def check_stores(sweep: Sweep, result: dict[str, Any]) -> None:
    """Check that every store has each member and each of its reports once."""
    rows = result["trials"]
    assert [row["trial_number"] for row in rows] == list(range(MEMBERS))
    assert {row["outcome"] for row in rows} == {"completed"}
    assert sweep.tune_statuses() == ["TERMINATED"]
    for trial, row in zip(sweep.optuna_trials(), rows, strict=True):
        assert trial.state.name == ("FAIL" if row["takeovers"] else "COMPLETE")
        assert trial.user_attrs.get("takeovers", []) == row["takeovers"]
        assert list(trial.intermediate_values)[-1] == row["env_steps"] >= BUDGET
    (parent,), children, client = sweep.mlflow_runs()
    assert parent.info.status == "FINISHED"
    assert sorted(run.info.run_id for run in children) == sorted(row["mlflow_run_id"] for row in rows)
    for row in rows:
        assert client.get_run(row["mlflow_run_id"]).data.tags["outcome"] == "completed"
        donors = client.get_metric_history(row["mlflow_run_id"], "population/donor")
        assert [(one.step, one.value) for one in sorted(donors, key=lambda one: one.step)] == [
            (one["env_steps"], one["donor"]) for one in row["takeovers"]
        ]
        steps = [point.step for point in client.get_metric_history(row["mlflow_run_id"], "objective")]
        assert len(steps) == len(set(steps))
        assert max(steps) == row["env_steps"]
    kept = {str(Path(one["path"]).parent) for row in rows for one in row["checkpoints"]}
    assert kept == set(map(str, sweep.folder.glob("trial_*/checkpoint_*")))
