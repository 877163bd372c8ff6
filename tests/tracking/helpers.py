"""Helpers of the tracking tests: stand-ins for Tune's trials, and readers of real MLflow stores."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneexp.tracking import delivery_process
from tuneexp.tracking.callback import MLflowCallback
from tuneexp.tracking.delivery_process import undelivered
from tuneexp.tracking.descriptions import About
from tuneexp.tracking.record_texts import RecordTexts

BUDGET_ENV_STEPS = 1000


@dataclass
class FakeTrial:
    """The attributes of `ray.tune.experiment.Trial` that the callback reads. `test_real_tune` uses the real class."""

    config: dict[str, Any]
    status: str = "RUNNING"
    last_result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def get_error(self) -> str | None:
        return self.error


def make_trial(number: int, learning_rate: float = 0.001, **fields: Any) -> FakeTrial:
    hyperparameters = {"learning_rate": learning_rate, "gamma": 0.99}
    config = {"trial_number": number, "seeds": [0, 1], "budget_env_steps": BUDGET_ENV_STEPS}
    return FakeTrial({**config, "hyperparameters": hyperparameters}, **fields)


def make_result(env_steps: int, objective: float = 1.0, **more: Any) -> dict[str, Any]:
    return {
        "env_steps": env_steps,
        "objective": objective,
        "return_mean": objective,
        "seed/0/return_mean": objective - 1,
        "seed/1/return_mean": objective + 1,
        "time/train_s": env_steps / 1000,
        "failed_seeds": [],
        "compiled": True,
        "done": env_steps >= BUDGET_ENV_STEPS,
        **more,
    }


def make_callback(storage: Path, name: str = "first", **constants: Any) -> MLflowCallback:
    constants = {"gamma": 0.99, "budget_env_steps": BUDGET_ENV_STEPS, **constants}
    tags = {"algorithm": "ppo", "searcher": "tpe", "scheduler": "asha"}
    texts = RecordTexts(
        ["learning_rate"], make_about(name), {"mlflow.user": "ada", "mlflow.source.name": "tuneexp sweep"}
    )
    return MLflowCallback(
        name, storage / name, storage, "CartPole-v1", constants, ["learning_rate"], tags, None, texts,
        {"search_space.yaml": "learning_rate: {uniform: [0, 1]}\n"},
    )  # fmt: skip


def make_about(name: str = "first") -> About:
    return About(
        algorithm="ppo", env="CartPole-v1", seeds=(0, 1), env_steps=BUDGET_ENV_STEPS, trials=8,
        how="tpe suggests configurations, asha stops trials early",
        repeat=f"tuneexp sweep runs/{name}/experiment.yaml", resume=f"tuneexp resume {name}",
        show=f"tuneexp show {name}",
    )  # fmt: skip


def report(callback: MLflowCallback, trial: FakeTrial, *env_steps: int, **more: Any) -> None:
    for steps in env_steps:
        result = make_result(steps, objective=steps / 100, **more)
        callback.on_trial_result(0, [], trial, result)
        trial.last_result = result


def run_trial(callback: MLflowCallback, number: int, *env_steps: int, learning_rate: float = 0.001) -> FakeTrial:
    """One trial from its start to its end; the last report ends it."""
    trial = make_trial(number, learning_rate)
    callback.on_trial_start(0, [], trial)
    report(callback, trial, *env_steps)
    trial.last_result["done"] = True
    callback.on_trial_complete(0, [], trial)
    return trial


def kill_delivery(folder: Path) -> None:
    """SIGKILL the process that delivers this sweep, if one runs."""
    process = delivery_process._running.pop(folder.resolve(), None)
    if process is not None:
        process.kill()
        process.wait()


@dataclass
class Store:
    """Content of MLflow, read with its own client."""

    uri: str

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def runs(self, deleted: bool = False) -> list[Any]:
        from mlflow.entities import ViewType

        client = self.client
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return list(
            client.search_runs(experiments, run_view_type=ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY)
        )

    def parents(self) -> list[Any]:
        return [run for run in self.runs() if "mlflow.parentRunId" not in run.data.tags]

    def trials(self) -> dict[int, Any]:
        """Trial number -> its run. Fails if a number has two."""
        children = [run for run in self.runs() if "mlflow.parentRunId" in run.data.tags]
        by_number = {int(run.data.tags["tuneexp.trial_number"]): run for run in children}
        assert len(by_number) == len(children), "a trial has two runs"
        return by_number

    def steps(self, run: Any, metric: str = "objective") -> list[int]:
        return [point.step for point in self.client.get_metric_history(run.info.run_id, metric)]


class Server:
    """A real `mlflow server` on a port of its own, which can be stopped and started again."""

    def __init__(self, folder: Path, database: Path) -> None:
        """database: a file with MLflow's empty tables, which is copied."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        folder.mkdir(parents=True)
        shutil.copy(database, folder / "server.db")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {
            "backend-store-uri": f"sqlite:///{self.folder}/server.db",
            "artifacts-destination": str(self.folder / "artifacts"),
            "host": "127.0.0.1",
            "port": str(self.port),
            "workers": "1",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *flags],
                stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 180  # on a busy machine
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return
            except OSError:
                assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
                time.sleep(0.1)
        raise AssertionError("the MLflow server did not start")

    def stop(self) -> None:
        """SIGKILL, without an orderly shutdown."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def wait_until_delivered(sweep_folder: Path | str, timeout_s: float) -> bool:
    """Wait until MLflow has all records written so far. The process continues. Returns False after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while undelivered(sweep_folder) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
