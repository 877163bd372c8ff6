"""Whole sweeps: real PPO on CartPole with Ray Tune, Optuna and MLflow."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mlflow import MlflowClient
from ray.tune import Callback

from tests.cli.conftest import Done, tuneexp  # noqa: F401
from tuneexp import PPO
from tuneexp.errors import TuneexpError
from tuneexp.sweep import (
    Sweep,
    SweepEvent,
    SweepInterrupted,
    SweepResult,
    list_sweeps,
    load_study,
    load_sweep,
    resume,
)
from tuneexp.sweep.cluster import capacity

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.usefixtures("ray_cluster", "mlflow_tables")]

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "gamma": {"uniform": [0.9, 0.999]}}
FIXED = {"n_envs": 2, "n_steps": 32, "batch_size": 64, "n_epochs": 2}
FAULTY = Path(__file__).parent / "faulty_envs.py"


def small(tmp_path: Path, **changes: Any) -> Sweep:
    asked = {"space": SPACE, "fixed": FIXED, "trials": 3, "seeds": 1, "budget_env_steps": 1000, "scheduler": "fifo",
             "name": "s", "storage": tmp_path / "runs", "compile": "off", "concurrency": 2,
             "evaluation": {"episodes": 2, "final_episodes": 3}}  # fmt: skip
    return Sweep(**{**asked, **changes})


def outcomes(result: SweepResult) -> dict[str, int]:
    found = [trial.outcome for trial in result.trials]
    return {outcome: found.count(outcome) for outcome in set(found)}


def test_a_sweep_gives_its_trials_its_best_and_its_events(tmp_path: Path) -> None:
    events: list[SweepEvent] = []
    result = small(tmp_path, videos="best").run(on_event=events.append)
    assert outcomes(result) == {"completed": 3}
    client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    assert [one.path for one in client.list_artifacts(result.mlflow["parent_run_id"], "videos")] == ["videos/best.mp4"]
    assert (tmp_path / "runs" / "s" / "best.mp4").stat().st_size > 1000
    assert result.best is not None
    assert result.best.objective == max(trial.objective for trial in result.trials)
    assert json.loads(json.dumps(result.as_json())) == result.as_json()
    for trial in result.trials:
        assert FIXED.items() <= trial.config.items()
        assert set(SPACE) <= set(trial.config)
        assert trial.env_steps >= 1000
        assert trial.mlflow_run_id
        assert (Path(trial.checkpoint) / "state.json").exists()
        told = [event for event in events if event.trial_number == trial.trial_number]
        assert [told[0].kind, told[-1].kind] == ["started", "ended"]
        reports = [event.env_steps for event in told if event.kind == "report"]
        # Every 100 steps, at the first end of a rollout of 64 steps.
        assert reports == [128, 256, 320, 448, 512, 640, 704, 832, 960, 1024]
    _check_what_is_stored(tmp_path, result)


def test_trials_whose_env_runners_are_processes_of_their_own_give_what_others_give(tmp_path: Path) -> None:
    """Each trial reserves the CPUs of its runners, and its reports equal those of one process."""
    # With a Ray of its own: the trial needs both CPUs.
    done = subprocess.run([sys.executable, "-c", WITH_RUNNERS, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (trial,) = load_sweep("s", tmp_path / "runs").trials
    assert (trial.outcome, trial.env_steps) == ("completed", 1024)
    alone = PPO.build(
        "CartPole-v1", [0], budget_env_steps=1000, compile="off", evaluation={"episodes": 2, "final_episodes": 3},
        hyperparameters={**trial.config, "num_env_runners": 0},
    )  # fmt: skip
    while not (report := alone.train())["done"]:
        pass
    alone.stop()
    assert report["objective"] == trial.objective


WITH_RUNNERS = """
import sys
from pathlib import Path
from tests.sweep.test_sweep_run import FIXED, small

if __name__ == "__main__":
    fixed = {**FIXED, "num_env_runners": 2, "num_cpus_per_env_runner": 0.5}
    small(Path(sys.argv[1]), trials=1, fixed=fixed).run()
"""


def _check_what_is_stored(tmp_path: Path, result: SweepResult) -> None:
    storage = tmp_path / "runs"
    assert load_sweep("s", storage) == result
    assert [trial.state.name for trial in load_study("s", storage).trials] == ["COMPLETE"] * 3
    (row,) = list_sweeps(storage)
    assert (row["state"], row["finished"], row["best"]) == ("finished", 3, result.best and result.best.objective)
    before = {path: path.stat().st_mtime_ns for path in (storage / "s").rglob("*") if path.name != ".lock"}
    assert resume("s", storage) == result
    assert {path: path.stat().st_mtime_ns for path in (storage / "s").rglob("*") if path.name != ".lock"} == before


def test_one_trial_at_a_time_a_sweep_repeats_exactly(tmp_path: Path) -> None:
    first = small(tmp_path, name="a", trials=5, budget_env_steps=300, concurrency=1).run()
    second = small(tmp_path, name="b", trials=5, budget_env_steps=300, concurrency=1).run()
    kept = ("config", "objective", "env_steps", "outcome")
    trials = [[[getattr(trial, name) for name in kept] for trial in result.trials] for result in (first, second)]
    assert trials[0] == trials[1]


def test_environments_that_break_fail_their_trials_and_the_sweep_continues(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    env = {"env": f"{FAULTY}:Breaks", "env_kwargs": {"flag": str(flag)}}
    result = small(tmp_path, **env, trials=4, concurrency=1, budget_env_steps=900).run()
    assert not flag.exists()
    assert outcomes(result) == {"completed": 2, "error": 2}
    states = [trial.state.name for trial in load_study("s", tmp_path / "runs").trials]
    broken = [trial for trial in result.trials if trial.outcome == "error"]
    for trial, reason in zip(broken, ("the pole broke", "not finite"), strict=True):
        assert reason in trial.reason
        assert "\n" not in trial.reason
        assert trial.env_steps < 900
        assert states[trial.trial_number] == "FAIL"
    assert sorted(states) == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]
    check_that_failed_trials_train_again(tmp_path, result)


def check_that_failed_trials_train_again(tmp_path: Path, before: SweepResult) -> None:
    """They continue from their checkpoints with the requested concurrency, and no store has duplicates."""
    storage, events = tmp_path / "runs", []
    assert resume("s", storage) == before  # unasked, nothing happens
    result = resume("s", storage, failed=True, on_event=events.append)
    assert outcomes(result) == {"completed": 4}
    moments = [event.kind for event in events if not event.restored and event.kind != "report"]
    assert moments == ["started", "ended"] * 2
    assert [trial.trial_id for trial in result.trials] == [trial.trial_id for trial in before.trials]
    for trial, of_optuna in zip(result.trials, load_study("s", storage).trials, strict=True):
        assert (of_optuna.state.name, of_optuna.value) == ("COMPLETE", trial.objective)
        steps = list(of_optuna.intermediate_values)
        assert steps == sorted(steps)
        assert steps[-1] == trial.env_steps
    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    for trial, was in zip(result.trials, before.trials, strict=True):
        assert trial.mlflow_run_id == was.mlflow_run_id
        run = client.get_run(trial.mlflow_run_id)
        assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", "completed")
        assert run.data.tags.get("reason", "") == ""
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "objective")]
        assert len(steps) == len(set(steps)) == 10
    told = client.get_run(result.mlflow["parent_run_id"]).data
    assert (told.metrics["trials/error"], told.metrics["trials/completed"]) == (0, 4)
    assert result.best is not None
    assert told.metrics["best_objective"] == result.best.objective
    assert resume("s", storage, failed=True) == result  # none is left


@pytest.mark.parametrize(
    ("trials", "scheduler"),
    [(2, "fifo"), (4, {"name": "pbt", "population": "stacked", "interval_env_steps": 100})],
    ids=["trials", "stacked"],
)
def test_a_sweep_whose_environment_moved_continues_with_its_new_place(
    tmp_path: Path,
    tuneexp: Callable[..., Done],  # noqa: F811
    trials: int,
    scheduler: Any,
) -> None:
    def stop(event: SweepEvent) -> None:
        if event.kind == "report":
            signal.raise_signal(signal.SIGINT)

    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_text("from gymnasium.envs.classic_control import CartPoleEnv\nclass Env(CartPoleEnv): pass\n")
    asked = {"trials": trials, "scheduler": scheduler, "budget_env_steps": 300, "concurrency": 1}
    with pytest.raises(SweepInterrupted):
        small(tmp_path, env=f"{old}:Env", **asked).run(on_event=stop)
    old.rename(new)
    missing = tuneexp("resume", "s")
    assert missing.code == 2
    assert f"--moved {old}=NEW" in missing.err
    done = tuneexp("resume", "s", "--moved", f"{old}=new.py", "--json")
    assert done.code == 0, done.err
    assert f"{new}:Env" in done.err
    assert f"{old}:Env" not in done.err, done
    ended = json.loads(done.out)["trials"]
    assert [(trial["outcome"], trial["env_steps"] >= 300) for trial in ended] == [("completed", True)] * trials
    again = tuneexp("resume", "s", "--moved", f"{old}=new.py", "--json")  # the command of before, from the history
    assert json.loads(again.out) == json.loads(done.out)


class Unfinished(Callback):
    """Number of unfinished trials after each step of Tune's loop."""

    counts: ClassVar[list[int]] = []

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.counts.append(sum(not one.is_finished() for one in trials))


class BreaksOff(Callback):
    """Ends the sweep when its second trial starts."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.config["trial_number"] == 1:
            raise RuntimeError("broken off")


@pytest.mark.parametrize("checkpoints", ["inside the storage", None])
def test_a_sweep_continues_where_its_storage_was_moved_with_as_many_trials_at_once_as_fit_then(
    tmp_path: Path, checkpoints: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "runs", tmp_path / "elsewhere"
    place = {} if checkpoints is None else {"checkpoints": old / "far"}
    monkeypatch.setattr(capacity, "_all_at_once", lambda *asked: 1)
    with pytest.raises(TuneexpError, match="broken off"):
        small(tmp_path, callbacks=[BreaksOff()], concurrency=None, budget_env_steps=300, **place).run()
    old.rename(new)
    name = "s"
    if checkpoints is None:
        name = "renamed"
        (new / "s").rename(new / name)
        (tmp_path / "link").symlink_to(new)
        new = tmp_path / "link"
    monkeypatch.setattr(capacity, "_all_at_once", lambda *asked: 2)
    Unfinished.counts.clear()
    result = resume(name, new, callbacks=[Unfinished()])
    assert max(Unfinished.counts) == 2
    assert outcomes(result) == {"completed": 3}
    for trial in result.trials:
        assert (Path(trial.checkpoint) / "state.json").exists()
        assert Path(trial.checkpoint).is_relative_to(new)
    assert load_sweep(name, new) == result
    assert not old.exists()


def test_a_lost_worker_costs_no_trial(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    events: list[SweepEvent] = []
    address = f"{FAULTY}:TakesTheWorkerDown"
    sweep = small(tmp_path, env=address, env_kwargs={"flag": str(flag)}, budget_env_steps=900)
    result = sweep.run(on_event=events.append)
    assert not flag.exists()
    assert outcomes(result) == {"completed": 3}
    starts = sorted(sum(e.kind == "started" and e.trial_number == number for e in events) for number in range(3))
    assert starts == [1, 1, 2]
