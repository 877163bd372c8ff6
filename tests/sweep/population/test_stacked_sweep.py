"""A population as one trial of Tune: what is refused before anything starts, and what every store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuneexp import load_policy
from tuneexp.errors import UserError
from tuneexp.sweep import Sweep
from tuneexp.trial.from_checkpoint import trial_from_checkpoint

RATE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
SMALL = {"n_envs": 2, "n_steps": 32, "batch_size": 16, "n_epochs": 1, "model": {"hidden_sizes": [8]}}


def stacked(tmp_path: Path, **changes: Any) -> Sweep:
    given: dict[str, Any] = {
        "algorithm": "ppo", "env": "CartPole-v1", "space": RATE, "trials": 4, "seeds": 1, "budget_env_steps": 256,
        "report_every_env_steps": 64, "fixed": SMALL, "compile": "off", "name": "s", "storage": tmp_path / "runs",
        "evaluation": {"episodes": 2, "final_episodes": 2}, "scheduler": {"name": "pbt", "population": "stacked"},
    }  # fmt: skip
    return Sweep(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {**RATE, "clip_obs": {"uniform": [1.0, 3.0]}}}, "clip_obs is part of the program of the stack"),
        ({"space": {**RATE, "target_kl": {"choice": [None, 0.1]}}}, "target_kl can be null"),
        ({"space": {"gamma": {"uniform": [0.9, 0.99]}}, "fixed": {**SMALL, "normalize_reward": True}}, "one gamma"),
        ({"fixed": {**SMALL, "num_env_runners": 1}}, "write num_env_runners=0"),
        ({"checkpoint_quota_bytes": 10**9}, "leave out --checkpoint-quota"),
        ({"trials": 1}, "nobody to copy from"),
        ({"trials": None, "time_budget_s": 60}, "write --trials 8"),
        (
            {"algorithm": "sac", "env": "Pendulum-v1", "fixed": {"model": {"hidden_sizes": [8]}},
             "space": {**RATE, "tau": {"uniform": [0.001, 0.1]}}},
            "tau is one number for the whole stack",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_stacked_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        stacked(tmp_path, **changes)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster", "mlflow_tables")
@pytest.mark.parametrize(("kind", "seeds"), [("pbt", 1), ("pb2", 3)])
def test_every_store_has_a_trial_for_each_member(tmp_path: Path, kind: str, seeds: int) -> None:
    from mlflow import MlflowClient

    events: list[tuple[str, int]] = []
    scheduler = {"name": kind, "population": "stacked"}
    result = stacked(tmp_path, seeds=seeds, scheduler=scheduler).run(
        on_event=lambda event: events.append((event.kind, event.trial_number))
    )
    assert [trial.trial_number for trial in result.trials] == [0, 1, 2, 3]
    assert {trial.outcome for trial in result.trials} == {"completed"}
    assert sorted(events) == sorted(
        (kind, number) for number in range(4) for kind in ["started", *["report"] * 4, "ended"]
    )
    frame = result.curves()
    assert frame.groupby("number")["env_steps"].apply(list).tolist() == [[64, 128, 192, 256]] * 4
    for trial, found in zip(result.trials, result.study.trials, strict=True):
        assert found.state.name == ("FAIL" if trial.takeovers else "COMPLETE")
    assert result.best is not None
    assert result.best.objective == max(trial.objective or -np.inf for trial in result.trials)
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs'}/mlflow.db")
    replaced = 0
    for trial in result.trials:
        history, copied, moved = (
            sorted(client.get_metric_history(str(trial.mlflow_run_id), name), key=lambda one: one.step)
            for name in ("objective", "population/donor", "hyperparameter/learning_rate")
        )
        assert [one.step for one in history] == [64, 128, 192, 256]
        replaced += len(copied)
        assert [(one.step, one.value) for one in copied] == [
            (one["env_steps"], one["donor"]) for one in trial.takeovers
        ]
        assert len({one.step for one in moved}) == len(moved)
        taken = {(one["env_steps"] + 1, one["after"]["learning_rate"]) for one in trial.takeovers}
        assert taken <= {(one.step, one.value) for one in moved}
        assert trial.config["learning_rate"] == moved[-1].value
        first = float(client.get_run(str(trial.mlflow_run_id)).data.params["learning_rate"])
        assert first == (trial.takeovers[0]["before"] if trial.takeovers else trial.config)["learning_rate"]
        member = trial_from_checkpoint(str(trial.checkpoint))
        assert member.config.seeds == list(range(seeds))
        assert member.objective.value() == trial.objective
        assert member.config.hyperparameters["learning_rate"] == trial.config["learning_rate"]
    assert replaced >= 1
    assert load_policy(str(result.best.checkpoint)).facts.env_steps == 256
