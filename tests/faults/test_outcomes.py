"""Trials that run out of time or memory or diverge, in one real sweep that is killed: the same words in every store."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults import harness
from tests.faults.harness import Sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ENVS = Path(__file__).parents[1] / "sweep" / "faulty_envs.py"
FAULTS = ("1-slow", "2-hangs", "3-memory", "4-overflow")
OUTCOMES = ["timeout", "timeout", "out_of_memory", "diverged", "completed"]
LIMIT_S = 20.0


def test_outcomes_are_the_same_in_every_store_and_a_kill_grants_no_fresh_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "faults"
    folder.mkdir()
    for name in FAULTS:
        (folder / name).touch()
    monkeypatch.setattr(harness, "FIXED", [
        "n_envs=1", "n_steps=32", "batch_size=32", "n_epochs=1", f"env_kwargs={json.dumps({'folder': str(folder)})}",
        'evaluation={"episodes": 1, "final_episodes": 1}',
    ])  # fmt: skip
    limit = ("--trial-timeout", f"{LIMIT_S:g}s")
    sweep = Sweep(tmp_path / "runs", trials=5, env=f"{ENVS}:FaultsInTurn", options=limit)
    process = sweep.start()
    wait_for_marks(sweep, process, folder, 1)
    time.sleep(0.6 * LIMIT_S)
    sweep.kill(process)
    process = sweep.start()
    wait_for_marks(sweep, process, folder, 2)
    hangs_s = time.monotonic()
    (folder / "2-hangs").unlink()
    while [record["outcome"] for record in sweep.records()][:2] != OUTCOMES[:2]:
        sweep.require(time.monotonic() < hangs_s + LIMIT_S, process, f"a fresh limit: {sweep.log_tail()}")
        time.sleep(0.1)
    output, _ = process.communicate(timeout=harness.END_TIMEOUT_S)
    assert process.returncode == 0, sweep.log_tail()
    check_stores(sweep, json.loads(output))


def wait_for_marks(sweep: Sweep, process: Any, folder: Path, count: int) -> None:
    deadline = time.monotonic() + harness.START_TIMEOUT_S
    while len(list(folder.glob("mark-*"))) < count:
        sweep.require(process.poll() is None and time.monotonic() < deadline, process, sweep.log_tail())
        time.sleep(0.05)


def check_stores(sweep: Sweep, result: dict[str, Any]) -> None:
    trials = result["trials"]
    assert [trial["outcome"] for trial in trials] == OUTCOMES
    slow, hung, memory, diverged, _ = [trial["reason"] for trial in trials]
    assert f"trial_timeout_s ({LIMIT_S:g} s)" in slow
    assert f"trial_timeout_s ({LIMIT_S:g} s)" in hung
    assert "faulty_envs.py line" in hung
    assert "MemoryError" in memory
    assert "NaN" in diverged
    assert 0 < trials[0]["env_steps"] < harness.BUDGET  # it ended between two steps
    assert result["best"]["trial_number"] == 4
    # None of them was retried.
    assert sweep.tune_statuses() == ["ERROR", "ERROR", "ERROR", "TERMINATED", "TERMINATED"]
    assert [progress["num_failures"] for progress in sweep.tune_progress()] == [1, 1, 1, 0, 0]
    of_optuna = sweep.optuna_trials()
    assert [trial.user_attrs["outcome"] for trial in of_optuna] == OUTCOMES
    assert [(trial.state.name, trial.value) for trial in of_optuna] == [("COMPLETE", trials[4]["objective"])] * 5
    assert [trial.constraints["outcome"] > 0 for trial in of_optuna] == [True, True, True, True, False]
    _, _, client = sweep.mlflow_runs()
    runs = [client.get_run(trial["mlflow_run_id"]) for trial in trials]
    assert [run.data.tags["outcome"] for run in runs] == OUTCOMES
    assert [run.info.status for run in runs] == ["KILLED", "KILLED", "FAILED", "FAILED", "FINISHED"]
    assert runs[0].data.tags["reason"] == slow
