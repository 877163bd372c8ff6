"""Runs real sweeps on the command line, kills them at exact moments, and reads all stores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.forked_command import ForkedCommand
from tests.faults.process_tree import is_alive, kill_tree

SPACE = "learning_rate: {loguniform: [1.0e-4, 1.0e-2]}\ngamma: {uniform: [0.9, 0.999]}\n"
# Small rollouts, few epochs, short episodes and few of them: about a second of real training a trial.
FIXED = ["n_envs=2", "n_steps=32", "batch_size=64", "n_epochs=2", 'env_kwargs={"max_episode_steps": 60}']
FIXED += ['evaluation={"episodes": 2, "final_episodes": 4}']
ROOT = Path(__file__).parents[2]
START_TIMEOUT_S, END_TIMEOUT_S = 200.0, 300.0
TOLD_WITHIN_S = 20.0  # 0.1 s on a machine that does nothing else
BUDGET, REPORTS = 1000, 10


@dataclass
class Sweep:
    """One sweep on the command line: `trials` trials of `BUDGET` env steps with `REPORTS` reports each."""

    storage: Path
    trials: int = 4
    seeds: int = 1
    scheduler: str = "fifo"
    concurrency: int = 1
    name: str = "s"
    algorithm: str = "ppo"
    env: str = "CartPole-v1"
    options: tuple[str, ...] = ()
    checkpoints: Path | None = None  # under a URI, where not in the sweep's folder
    one_command: bool = False  # `sweep --resume` each time, as a job that is queued again
    added: int = 0  # trials that the next command adds
    confirm: tuple[str, ...] = ()  # options of `confirm`, the next command if there is no confirmation yet
    forked: bool = True  # commands are forked from a process that has the libraries, not started
    killed: list[int] = field(default_factory=list)

    def command(self) -> list[str]:
        space = self.storage.parent / "space.yaml"
        space.write_text(SPACE)
        if self.added:
            more, self.added = self.added, 0
            self.trials += more
            return ["extend", self.name, "--trials", str(more), "--storage", str(self.storage), "--json"]
        if self.confirm and not list(self.folder.glob("confirm*")):
            return ["confirm", self.name, *self.confirm, "--storage", str(self.storage), "--json"]
        if self.folder.exists() and not self.one_command:
            return ["resume", self.name, "--storage", str(self.storage), "--json"]
        fixed = [part for setting in FIXED for part in ("--set", setting)]
        where = ["--checkpoints", self.checkpoints.as_uri()] if self.checkpoints else []
        return [
            "sweep", "--algorithm", self.algorithm, "--env", self.env,
            "--space", str(space), "--trials", str(self.trials), "--seeds", str(self.seeds),
            "--env-steps", str(BUDGET), "--scheduler", self.scheduler, "--concurrency", str(self.concurrency),
            "--name", self.name, "--storage", str(self.storage),
            "--compile", "off", "--json", *fixed, *where, *self.options,
            *(["--resume"] if self.one_command else []),
        ]  # fmt: skip

    @property
    def folder(self) -> Path:
        return self.storage / self.name

    def start(self, pause_at: str = "", mark: Path | None = None) -> subprocess.Popen[str]:
        """Start the next command (a sweep, then its resumes) in a process session of its own."""
        environment = {**os.environ, "TUNEEXP_TEST_PAUSE": pause_at, "TUNEEXP_TEST_MARK": str(mark or "")}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent / "pause"), str(ROOT)])
        log = (self.storage.parent / "driver.log").open("a")
        start = ForkedCommand if self.forked else subprocess.Popen
        return start(
            [sys.executable, "-m", "tuneexp", *self.command()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
            start_new_session=True, preexec_fn=_nothing_ignored,
        )  # fmt: skip

    def kill_at(self, pause_at: str, fewest: int = 6) -> None:
        """Run until a process reaches that call, then kill all processes."""
        mark = self.storage.parent / "mark"
        mark.unlink(missing_ok=True)
        process = self.start(pause_at, mark)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not mark.exists():
            assert process.poll() is None, f"ended before {pause_at} was reached: {self.log_tail()}"
            self.require(time.monotonic() < deadline, process, f"{pause_at} was not reached: {self.log_tail()}")
            time.sleep(0.01)
        self.kill(process, fewest)

    def kill_after_reports(self, reports: int, delay_s: float = 0.0) -> None:
        """Run until about `reports` new checkpoints exist, then kill all processes `delay_s` later."""
        process = self.start()
        self.wait_for(process, reports)
        time.sleep(delay_s)
        self.kill(process)

    def interrupt_after_reports(self, reports: int, number: signal.Signals = signal.SIGINT) -> str:
        """Press Ctrl-C, or close the terminal, which signals all its processes. Returns the standard error."""
        process = self.start()
        self.wait_for(process, reports)
        said_before, at_s = len(self.log()), time.monotonic()
        os.killpg(process.pid, number)
        while "stopping, saving" not in self.log()[said_before:]:
            assert time.monotonic() < at_s + TOLD_WITHIN_S, self.log_tail()
            time.sleep(0.01)
        assert process.wait(timeout=START_TIMEOUT_S) == 128 + number, self.log_tail()
        return self.log()[said_before:]

    def wait_for(self, process: subprocess.Popen[str], reports: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        wanted = self.progress() + reports
        while self.progress() < wanted:
            assert process.poll() is None, f"ended too early: {self.log_tail()}"
            self.require(time.monotonic() < deadline, process, self.log_tail())
            time.sleep(0.03)

    def require(self, met: bool, process: subprocess.Popen[str], problem: str) -> None:
        """Fail with `problem` unless `met`, and end all processes, which would slow later tests."""
        if not met:
            kill_tree(process.pid)
            pytest.fail(problem)

    def progress(self) -> int:
        """Number of reports in the snapshot."""
        return sum(record["env_steps"] for record in self.records()) * REPORTS // BUDGET

    def kill(self, process: subprocess.Popen[str], fewest: int = 6) -> None:
        killed = kill_tree(process.pid)
        assert killed >= fewest, "a driver with Ray and its workers is more processes than that"
        process.wait()
        assert not is_alive(process.pid)
        self.killed.append(process.pid)

    def finish(self) -> dict[str, Any]:
        """Run or resume to the end. Returns the JSON that the command prints."""
        process = self.start()
        output, _ = process.communicate(timeout=END_TIMEOUT_S)
        assert process.returncode == 0, self.log_tail()
        result: dict[str, Any] = json.loads(output)
        return result

    def log_tail(self) -> str:
        return self.log()[-3000:]

    def log(self) -> str:
        return (self.storage.parent / "driver.log").read_text()

    # What the stores hold.

    def records(self) -> list[dict[str, Any]]:
        try:
            with zipfile.ZipFile(self.folder / "snapshot.zip") as archive:
                records: list[dict[str, Any]] = json.loads(archive.read("trials.json"))
                return records
        except FileNotFoundError:
            return []

    def tune_statuses(self) -> list[str]:
        """Status of every trial in Tune's last experiment state."""
        return [json.loads(trial)["status"] for trial, _ in self._tune_trials()]

    def tune_progress(self) -> list[dict[str, Any]]:
        """Tune's counts of every trial: `num_failures`, and the iterations in `last_result`."""
        return [json.loads(progress) for _, progress in self._tune_trials()]

    def _tune_trials(self) -> list[list[str]]:
        with zipfile.ZipFile(self.folder / "snapshot.zip") as archive:
            (name,) = (name for name in archive.namelist() if name.startswith("experiment_state-"))
            found: list[list[str]] = json.loads(archive.read(name))["trial_data"]
        return found

    def optuna_trials(self) -> list[Any]:
        """The study, read by Optuna's own journal storage."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = JournalStorage(JournalFileBackend(str(self.folder / "optuna.journal")))
        (study,) = storage.get_all_studies()
        return storage.get_all_trials(study._study_id)

    def mlflow_runs(self) -> tuple[list[Any], list[Any], Any]:
        """Parent runs, child runs, and the client."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.storage}/mlflow.db")
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(experiments, max_results=1000)
        children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
        return [run for run in runs if run not in children], children, client


def _nothing_ignored() -> None:
    """Restore the default signal handlers. In the background of a shell, or under nohup, child processes ignore
    signals."""
    for sign in (signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, signal.SIG_DFL)


def assert_whole(sweep: Sweep, result: dict[str, Any]) -> None:
    """Check that every store holds the sweep as if it had never been interrupted."""
    assert [trial["trial_number"] for trial in result["trials"]] == list(range(sweep.trials))
    assert {trial["outcome"] for trial in result["trials"]} <= {"completed", "pruned"}
    assert sweep.tune_statuses() == ["TERMINATED"] * sweep.trials
    assert_optuna(sweep, result)
    assert_mlflow(sweep, result)
    assert_checkpoints(sweep, result)
    assert not list(sweep.folder.glob(".*.tmp"))


def assert_checkpoints(sweep: Sweep, result: dict[str, Any]) -> None:
    """Check that each trial has the checkpoints that its record names, in its own folder only."""
    place = sweep.checkpoints / sweep.name if sweep.checkpoints else sweep.folder
    everywhere = {path for folder in (place, sweep.folder) for path in folder.glob("trial_*/checkpoint_*")}
    named = [one["path"] for trial in result["trials"] for one in trial["checkpoints"]]
    addresses = [path.as_uri() if sweep.checkpoints else str(path) for path in everywhere]
    assert sorted(addresses) == sorted(named)
    for trial in result["trials"]:
        # One that was pruned at its first report may have died before it wrote anything. A quota may leave none.
        may_lack_one = trial["outcome"] == "pruned" or "--checkpoint-quota" in sweep.options
        assert f"_{trial['trial_id']}/" in (trial["checkpoint"] or "") or may_lack_one


def assert_optuna(sweep: Sweep, result: dict[str, Any]) -> None:
    trials = sweep.optuna_trials()
    assert [trial.number for trial in trials] == list(range(sweep.trials))
    states = {"completed": "COMPLETE", "pruned": "PRUNED"}
    for trial, row in zip(trials, result["trials"], strict=True):
        assert trial.state.name == states[row["outcome"]]
        assert trial.params == {name: row["config"][name] for name in ("learning_rate", "gamma")}
        assert_values(trial, row, several=len(result["objectives"]) > 1)


def assert_values(trial: Any, row: dict[str, Any], several: bool) -> None:
    """Check the reports and the values of a trial in Optuna. Several objectives have no intermediate values there."""
    steps = [int(step) for step in trial.user_attrs["reports"]] if several else list(trial.intermediate_values)
    assert steps == sorted(set(steps))
    assert steps[-1] == row["env_steps"]
    if not several:
        assert trial.value == row["objective"]
        return
    assert trial.user_attrs["reports"][str(steps[-1])] == list(row["objectives"].values())
    assert trial.values == (list(row["objectives"].values()) if row["outcome"] == "completed" else None)


def assert_mlflow(sweep: Sweep, result: dict[str, Any]) -> None:
    (parent,), children, client = sweep.mlflow_runs()
    assert parent.info.status == "FINISHED"
    assert parent.info.run_id == result["mlflow"]["parent_run_id"]
    assert sorted(run.info.run_id for run in children) == sorted(trial["mlflow_run_id"] for trial in result["trials"])
    assert not [run.info.run_id for run in children if run.info.status in ("RUNNING", "SCHEDULED")]
    for row in result["trials"]:
        run = client.get_run(row["mlflow_run_id"])
        assert run.data.tags["outcome"] == row["outcome"]
        for metric in ("objective", "wall_s"):
            steps = [point.step for point in client.get_metric_history(row["mlflow_run_id"], metric)]
            assert len(steps) == len(set(steps)), f"trial {row['trial_number']} has a step twice in {metric}"
            assert max(steps) == row["env_steps"]
        if len(result["objectives"]) > 1 and row["outcome"] == "completed":
            on_front = row["trial_number"] in result["front"]
            assert run.data.tags["pareto_front"] == str(on_front).lower()


def assert_logs(sweep: Sweep, result: dict[str, Any]) -> None:
    """Check that TensorBoard reads each report of MLflow once, and nothing else."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, _, client = sweep.mlflow_runs()
    folders = sorted((sweep.folder / "tensorboard").iterdir())
    assert len(folders) == sweep.trials
    for row, folder in zip(result["trials"], folders, strict=True):
        found = EventAccumulator(str(folder))
        found.Reload()
        history = client.get_metric_history(row["mlflow_run_id"], "objective")
        assert [(one.step, round(one.value, 3)) for one in found.Scalars("objective")] == [
            (one.step, round(one.value, 3)) for one in sorted(history, key=lambda one: one.step)
        ]
