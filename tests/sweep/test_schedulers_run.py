"""Each scheduler in a small real sweep under Ray Tune, Optuna and MLflow."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mlflow import MlflowClient
from ray.tune import Callback

from tests.sweep.test_sweep_run import small
from tuneexp import PPO
from tuneexp.cli.retrain import retrain_command
from tuneexp.cli.training_file import job_of_schedule
from tuneexp.nesting import flat
from tuneexp.sweep import SweepEvent, SweepResult, TrialResult, load_study, load_sweep
from tuneexp.sweep.schedule_file import export_schedule
from tuneexp.trial.trainable import build_trainable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.usefixtures("ray_cluster", "mlflow_tables")]

RUNG = 250  # of a budget of 500, with reports every 128 steps
HALVING = {"reduction_factor": 4, "grace_env_steps": RUNG}


class Workers(Callback):
    """Process ids of the workers that reported."""

    pids: ClassVar[set[int]] = set()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.pids.add(result["pid"])


@pytest.mark.parametrize(
    "scheduler",
    [
        {"name": "asha", **HALVING, "promote": True},
        {"name": "hyperband", **HALVING, "synchronous": True},
        {"name": "hyperband", **HALVING},
        {"name": "median", "grace_env_steps": RUNG, "min_trials": 1},
    ],
    ids=["asha promotes", "synchronous hyperband", "hyperband", "median"],
)
def test_every_store_agrees_about_what_a_scheduler_decided(
    tmp_path: Path, scheduler: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneexp.sweep.run.snapshot_period_s", lambda config: 0.0)  # after each event
    events: list[tuple[str, int]] = []
    statuses: list[set[str]] = []
    pauses = scheduler.get("promote") or scheduler.get("synchronous")
    Workers.pids.clear()
    sweep = small(
        tmp_path, trials=3, budget_env_steps=500, report_every_env_steps=100, scheduler=scheduler,
        concurrency=1 if pauses else 2, callbacks=[Workers()],
    )  # fmt: skip

    def note(event: SweepEvent) -> None:
        events.append((event.kind, event.trial_number))
        if event.kind == "promoted":  # the snapshot is that of the time when all waited
            statuses.append({trial.status for trial in load_sweep("s", tmp_path / "runs").trials})

    result = sweep.run(on_event=note)
    assert [trial.trial_number for trial in result.trials] == [*range(3)]
    outcomes = [trial.outcome for trial in result.trials]
    assert set(outcomes) <= {"completed", "pruned"}
    assert "completed" in outcomes
    for trial in result.trials:
        assert trial.env_steps >= (500 if trial.outcome == "completed" else RUNG)
        if trial.outcome == "pruned" and scheduler["name"] != "median":
            assert trial.env_steps < RUNG + 128  # at the only rung
    check_stores(tmp_path, result)
    started = [number for kind, number in events if kind == "started"]
    if pauses:
        # Of three trials, none is among the best quarter: all wait, and at the end the best one goes on.
        assert sorted(outcomes) == ["completed", "pruned", "pruned"]
        assert sorted(started) == [0, 1, 2]
        assert sorted(number for kind, number in events if kind == "paused") == [0, 1, 2]
        assert [number for kind, number in events if kind == "promoted"] == [outcomes.index("completed")]
        assert "paused" in statuses[-1]
        assert len(Workers.pids) == 1  # a new process would take seconds


def check_stores(tmp_path: Path, result: SweepResult) -> None:
    """No report is lost or doubled, and a trial that ended while it was paused is pruned at its rung."""
    storage = tmp_path / "runs"
    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    states = {"completed": "COMPLETE", "pruned": "PRUNED"}
    for trial, of_optuna in zip(result.trials, load_study("s", storage).trials, strict=True):
        assert of_optuna.state.name == states[trial.outcome]
        assert of_optuna.value == trial.objective
        assert [*of_optuna.intermediate_values][-1] == trial.env_steps
        run = client.get_run(trial.mlflow_run_id)
        assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", trial.outcome)
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "objective")]
        assert steps == sorted(set(steps))
        assert steps == [*of_optuna.intermediate_values]


def test_the_schedule_of_a_winner_is_exported_and_replayed_on_fresh_seeds(tmp_path: Path) -> None:
    fixed = {"n_envs": 2, "n_steps": 32, "batch_size": 64, "n_epochs": 2}
    result = small(
        tmp_path, trials=4, budget_env_steps=512, report_every_env_steps=64, concurrency=2, fixed=fixed,
        scheduler={"name": "pbt", "interval_env_steps": 128},
    ).run()  # fmt: skip
    moved = [trial for trial in result.trials if trial.takeovers]
    assert moved
    number = moved[0].trial_number
    path = tmp_path / "schedule.yaml"
    written = export_schedule(f"s/{number}", path, tmp_path / "runs")
    assert written["trial"] == number
    assert written["segments"][-1]["values"].items() <= moved[0].config.items()
    job = job_of_schedule(path, "3", None, None, [0, 1, 2], None, {}, {})
    assert job.seeds == [1, 2, 3]  # it was tuned on seed 0
    hyperparameters = {"hyperparameters": job.hyperparameters, "budget_env_steps": job.budget_env_steps}
    algo = build_trainable(PPO, job.env, job.seeds, {**job.settings, **hyperparameters})
    try:
        for segment, after in pairwise([*written["segments"], {"env_steps": 512}]):
            while algo.trial.env_steps < after["env_steps"]:
                metrics = algo.train()
                assert metrics["update/learning_rate"] == pytest.approx(segment["values"]["learning_rate"])
                assert algo.trial.cfg.gamma == segment["values"]["gamma"]
    finally:
        algo.stop()
    check_the_confirmation(result, moved[0], dict(zip(job.seeds, metrics["return_per_seed"], strict=True)))


def check_the_confirmation(result: SweepResult, moved: TrialResult, scores: dict[int, float]) -> None:
    """A confirmation trains a member as `train --schedule` does, and MLflow has the values that trained each report."""
    exported = f"tuneexp export s/{moved.trial_number} --to schedule --output s-schedule.yaml"
    assert exported in str(retrain_command(result, moved))
    found = result.confirm(top=4, seeds=3)
    one = found.named(f"trial {moved.trial_number}")
    assert one is not None
    assert one.scores == scores
    held = {**flat(one.config), **{name: value for row in one.schedule for name, value in row["values"].items()}}
    assert held == flat(moved.config)
    text = Path(str(found.best_file)).read_text()
    chosen = found.recommended
    assert ("schedule:" in text) == bool(chosen and chosen.schedule)
    client = MlflowClient(f"sqlite:///{result.storage}/mlflow.db")
    trials = load_sweep("confirm", Path(result.storage) / "s").trials
    number = [configuration.name for configuration in found.configurations].index(one.name)
    series = client.get_metric_history(str(trials[number].mlflow_run_id), "hyperparameter/learning_rate")
    assert [point.step for point in series] == [64 * report for report in range(1, 9)]
    assert series[0].value == one.config["learning_rate"]
    assert series[-1].value == moved.config["learning_rate"]
