"""SIGKILL around takeovers of population-based training, then `tuneexp resume` and a check of every store.

`TUNEEXP_POPULATIONS=all`, as in `make nightly`, adds the kinds that take longer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import Sweep, assert_checkpoints, assert_mlflow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("mlflow_tables")]

ENTERED = "tuneexp.sweep.search.schedulers.taking_over:_with_values:after:{}"
DONOR_READ = "tuneexp.trial.branching:generator_state:after:1"  # in the worker, while it loads the donor's state
OPTIONS = ("--scheduler-option", "interval_env_steps=250")
MEMBERS = {"pbt": 4, "pb2": 4, "mf_pbt": 8}  # the fewest of each kind that have somebody to replace
KINDS = MEMBERS if os.environ.get("TUNEEXP_POPULATIONS") == "all" else ("pbt",)


def population(folder: Path, kind: str) -> Sweep:
    return Sweep(folder / "runs", trials=MEMBERS[kind], seeds=3, scheduler=kind, concurrency=2, options=OPTIONS)


def takeovers(sweep: Sweep) -> list[list[dict[str, Any]]]:
    return [record["takeovers"] for record in sorted(sweep.records(), key=lambda one: one["trial_number"])]


def borrowed_in(sweep: Sweep) -> list[str]:
    return [record["continues_from"] for record in sweep.records() if record["continues_from"]]


def assert_whole(sweep: Sweep, result: dict[str, Any]) -> None:
    assert {trial["outcome"] for trial in result["trials"]} == {"completed"}
    assert sweep.tune_statuses() == ["TERMINATED"] * sweep.trials
    assert_mlflow(sweep, result)
    assert_checkpoints(sweep, result)
    assert not any(record["continues_from"] for record in sweep.records())
    _, _, client = sweep.mlflow_runs()
    for row, entries, trial in zip(result["trials"], takeovers(sweep), sweep.optuna_trials(), strict=True):
        assert len({one["env_steps"] for one in entries}) == len(entries)
        # Its score is that of its first values only if it was never replaced.
        assert trial.state.name == ("FAIL" if entries else "COMPLETE")
        assert trial.user_attrs.get("takeovers", []) == entries
        donors = client.get_metric_history(row["mlflow_run_id"], "population/donor")
        assert [(one.step, one.value) for one in donors] == [(one["env_steps"], one["donor"]) for one in entries]
        first = {**row["config"], **(entries[0]["before"] if entries else {})}
        assert trial.params == {name: first[name] for name in ("learning_rate", "gamma")}
        params = client.get_run(row["mlflow_run_id"]).data.params
        assert float(params["learning_rate"]) == first["learning_rate"]  # a param is never written again
        series = client.get_metric_history(row["mlflow_run_id"], "hyperparameter/learning_rate")
        assert series[0].value == first["learning_rate"]
        assert series[-1].value == row["config"]["learning_rate"]


@pytest.mark.parametrize("kind", KINDS)
def test_kills_between_a_takeover_and_the_next_report_change_nothing(tmp_path: Path, kind: str) -> None:
    undisturbed = population(tmp_path / "undisturbed", kind)
    undisturbed.storage.parent.mkdir()
    expected = undisturbed.finish()
    assert_whole(undisturbed, expected)
    assert any(takeovers(undisturbed))
    sweep = population(tmp_path, kind)
    sweep.kill_at(ENTERED.format(1))  # decided and in the outbox, and no snapshot has it
    assert not any(takeovers(sweep))
    mark = tmp_path / "second"
    process = sweep.start(DONOR_READ, mark)
    while not (mark.exists() and borrowed_in(sweep)):  # Tune writes its snapshot some steps later on a busy machine
        assert process.poll() is None, sweep.log_tail()
        time.sleep(0.05)
    sweep.kill(process)  # in the snapshot; the donor's checkpoint is being copied
    borrowed = borrowed_in(sweep)
    assert all((sweep.folder / one).is_dir() for one in borrowed)
    result = sweep.finish()
    assert_whole(sweep, result)
    assert takeovers(sweep) == takeovers(undisturbed)
    keys = ("config", "objective", "env_steps", "outcome")
    assert [[one[key] for key in keys] for one in result["trials"]] == [
        [one[key] for key in keys] for one in expected["trials"]
    ]
