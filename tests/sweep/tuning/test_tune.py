"""`tune`: its plan from real measurements, and a short one to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sweep.test_sweep_run import FIXED, SPACE
from tuneexp.errors import UserError
from tuneexp.sweep import load_sweep, tune
from tuneexp.sweep.confirming.costs import FORMS
from tuneexp.sweep.tuning.tune import plan_tuning

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def settings(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    asked = {"algorithm": "ppo", "env": "CartPole-v1", "space": SPACE, "fixed": FIXED, "compile": "off", "name": "t",
             "storage": tmp_path / "runs", "evaluation": {"episodes": 2, "final_episodes": 3}, "concurrency": 2,
             "env_kwargs": {"max_episode_steps": 60}}  # fmt: skip
    return {**asked, **changes}


def test_the_plan_of_a_short_time_halves_the_budget_and_names_what_follows(tmp_path: Path) -> None:
    long = plan_tuning("10h", None, settings(tmp_path))
    assert long.sweep.config.trial.budget_env_steps == 50_000
    assert (long.shares.top, long.shares.seeds) == (3, 10)
    assert len(long.sweep.config.trial.seeds) == 3
    assert long.sweep.config.confirmation_s == long.shares.confirmation_s
    assert long.sweep.config.time_budget_s == long.shares.sweep_s
    lines = long.plan()
    assert "10h00m" in lines[0]
    assert "tpe suggests, asha stops weak trials; 3 seeds x 50,000 environment steps" in lines[1]
    assert "the best 3 and the defaults, on 10 unseen seeds" in lines[2]
    assert not (tmp_path / "runs" / "t").exists()


@pytest.mark.parametrize(
    ("time", "changes", "word"),
    [
        ("4m", {}, "--time 5m"),
        ("an hour", {}, "time"),
        ("10m", {"trials": 3}, "trials"),
        ("10m", {"until": 3}, "until"),
        ("10m", {"scheduler": {"name": "pb2"}}, "leave out the scheduler, or write: tuneexp sweep --scheduler pb2"),
    ],
)
def test_a_time_that_is_too_short_and_another_rule_are_refused_before_anything_starts(
    tmp_path: Path, time: str, changes: dict[str, Any], word: str
) -> None:
    with pytest.raises(UserError, match=word):
        tune(time=time, **settings(tmp_path, **changes))


@pytest.mark.usefixtures("ray_cluster", "mlflow_tables")
def test_a_tune_sweeps_and_confirms(tmp_path: Path) -> None:
    """The sweep ends before its time: there are two points to try."""
    asked = settings(tmp_path, space={"gamma": {"choice": [0.9, 0.99]}}, searcher="grid", scheduler="fifo")
    found = tune(time="5m", budget_env_steps=500, **asked)
    assert (found.state, found.sweep_state) == ("finished", "finished")
    sweep = load_sweep("t", tmp_path / "runs")
    assert sweep.ended_by == "sampler"
    assert sorted(trial.config["gamma"] for trial in sweep.trials) == [0.9, 0.99]
    assert [one.name for one in found.configurations][-1] == "defaults"
    assert found.winner is not None
    assert found.seeds == list(range(3, 3 + len(found.seeds)))
    assert (len(found.configurations) - 1, len(found.seeds)) in FORMS  # fewer on a busy machine
    assert found.budget_env_steps == 500
    assert found.best_file == str(tmp_path / "runs" / "t" / "best.yaml")
