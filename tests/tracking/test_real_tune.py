"""The callback under a real Tune: its hooks come in Tune's own order, with Tune's own trials."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.helpers import BUDGET_ENV_STEPS, Store, make_callback, make_result

PATIENCE_S = 60.0


def param_space(numbers: list[int]) -> dict[str, Any]:
    from ray import tune

    return {
        "trial_number": tune.grid_search(numbers),
        "seeds": [0, 1],
        "budget_env_steps": BUDGET_ENV_STEPS,
        "hyperparameters": {"learning_rate": tune.sample_from(lambda spec: spec.config["trial_number"] / 10)},
    }


def make_trainable() -> type:
    """Trial 1 completes, 2 is stopped by the scheduler, 3 raises, 4 turns NaN, 5 runs out of memory."""
    from ray import tune

    class Scripted(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.env_steps = 0

        def step(self) -> dict[str, Any]:
            self.env_steps += 100
            number = self.config["trial_number"]
            if number == 3 and self.env_steps == 300:
                raise ValueError("the environment broke")
            if number == 5 and self.env_steps == 300:
                raise MemoryError
            nan = number == 4 and self.env_steps == 400
            objective = float("nan") if nan else float(number * self.env_steps)
            result = make_result(self.env_steps, objective, failed_seeds=[0, 1] if nan else [])
            return {**result, "done": result["done"] or nan}

        def save_checkpoint(self, folder: str) -> None:
            Path(folder, "steps").write_text(str(self.env_steps))

        def load_checkpoint(self, folder: str) -> None:
            self.env_steps = int(Path(folder, "steps").read_text())

    return Scripted


def make_scheduler() -> Any:
    from ray.tune.schedulers import FIFOScheduler

    class StopsTheSecond(FIFOScheduler):
        def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
            stop = trial.config["trial_number"] == 2 and result["env_steps"] >= 200
            return self.STOP if stop else self.CONTINUE

    return StopsTheSecond()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_every_outcome_reaches_mlflow_from_a_real_tune_run(tmp_path: Path, store: Store) -> None:
    from ray import tune

    callback = make_callback(tmp_path)
    callback.start()
    tuner = tune.Tuner(
        make_trainable(),
        param_space=param_space([1, 2, 3, 4, 5]),
        tune_config=tune.TuneConfig(scheduler=make_scheduler(), max_concurrent_trials=1, reuse_actors=False),
        run_config=tune.RunConfig(
            name="first", storage_path=str(tmp_path), callbacks=[callback], verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
        ),
    )  # fmt: skip
    tuner.fit()
    # A new object, as the code after Tune may hold one: the outbox knows everything.
    assert make_callback(tmp_path).finish([{"trial": 1}], 1, None, PATIENCE_S) is None

    runs = store.trials()
    assert {number: (run.data.tags["outcome"], run.info.status) for number, run in runs.items()} == {
        1: ("completed", "FINISHED"),
        2: ("pruned", "KILLED"),
        3: ("error", "FAILED"),
        4: ("diverged", "FAILED"),
        5: ("out_of_memory", "FAILED"),
    }
    assert runs[3].data.tags["reason"] == "ValueError: the environment broke"
    assert {number: run.data.params for number, run in runs.items()} == {
        number: {"learning_rate": str(number / 10)} for number in runs
    }
    assert store.steps(runs[1]) == list(range(100, BUDGET_ENV_STEPS + 1, 100))
    assert store.steps(runs[2]) == [100, 200]
    assert store.steps(runs[3]) == [100, 200]
    assert store.steps(runs[4]) == [100, 200, 300]  # the NaN is told by the outcome and a tag
    assert "objective" in runs[4].data.tags["nonfinite"]
    own = {"objective", "return_mean", "seed/0/return_mean", "seed/1/return_mean", "time/train_s", "failed_seeds"}
    assert set(runs[1].data.metrics) == own
    assert Path(runs[1].data.tags["checkpoint"], "steps").read_text() == str(BUDGET_ENV_STEPS)
    assert all(run.data.tags["mlflow.parentRunId"] == store.parents()[0].info.run_id for run in runs.values())


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_trials_that_a_time_limit_stops_are_ended_too(tmp_path: Path, store: Store) -> None:
    from ray import tune

    class Slow(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.env_steps = 0

        def step(self) -> dict[str, Any]:
            time.sleep(0.2)
            self.env_steps += 1
            return make_result(self.env_steps)

    callback = make_callback(tmp_path)
    tuner = tune.Tuner(
        Slow,
        param_space=param_space([1]),
        tune_config=tune.TuneConfig(time_budget_s=3),
        run_config=tune.RunConfig(name="first", storage_path=str(tmp_path), callbacks=[callback], verbose=0),
    )
    tuner.fit()
    assert callback.finish([], None, None, PATIENCE_S) is None
    run = store.trials()[1]
    assert (run.data.tags["outcome"], run.info.status) == ("timeout", "KILLED")


DRIVER = """
import sys, tempfile, time
import ray
from pathlib import Path
from ray import tune
from tests.tracking.helpers import make_callback, make_result
from tests.tracking.test_real_tune import param_space

storage, resume = Path(sys.argv[1]), sys.argv[2] == "resume"

class Slow(tune.Trainable):
    def setup(self, config):
        self.env_steps = 0
    def step(self):
        time.sleep(0.1)
        self.env_steps += 50
        return make_result(self.env_steps, float(self.env_steps))
    def save_checkpoint(self, folder):
        Path(folder, "steps").write_text(str(self.env_steps))
    def load_checkpoint(self, folder):
        self.env_steps = int(Path(folder, "steps").read_text())

callback = make_callback(storage)
ray.init(address="local", num_cpus=2, num_gpus=0, include_dashboard=False, object_store_memory=100 * 2**20,
         log_to_driver=False, logging_level="ERROR", _temp_dir=sys.argv[3])
if resume:
    tuner = tune.Tuner.restore(str(storage / "first"), Slow, resume_unfinished=True)
else:
    tuner = tune.Tuner(Slow, param_space=param_space([1, 2, 3]), tune_config=tune.TuneConfig(max_concurrent_trials=2),
        run_config=tune.RunConfig(name="first", storage_path=str(storage), callbacks=[callback], verbose=0,
            # All are kept: Tune may drop one that its last snapshot still names, which is not what is asked here.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=4)))
tuner.fit()
print(callback.finish([], 1, None, 60.0))
ray.shutdown()
"""


def start_driver(storage: Path, temporary: str, mode: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TUNE_GLOBAL_CHECKPOINT_S": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DRIVER), str(storage), mode, temporary],
        env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sigkill_of_tune_and_all_its_workers_then_restore_gives_one_run_per_trial(
    tmp_path: Path, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import shutil
    import tempfile

    temporary = tempfile.mkdtemp(prefix="tx-")
    try:
        driver = start_driver(tmp_path, temporary, "start")
        try:
            wait_for_steps(store, trial=1, env_steps=600)
        finally:
            os.killpg(driver.pid, signal.SIGKILL)  # the driver, its workers, the delivering process
            driver.communicate()
        # Whatever stood in MLflow at that moment, the runs that Tune's snapshot knows go on.
        before = {number: run.info.run_id for number, run in store.trials().items()}
        assert before
        driver = start_driver(tmp_path, tempfile.mkdtemp(prefix="tx-", dir=temporary), "resume")
        output, _ = driver.communicate(timeout=200)
        assert driver.returncode == 0
        assert output.strip().endswith("None")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    runs = store.trials()
    assert set(runs) == {1, 2, 3}
    assert all(store.steps(run) == list(range(50, BUDGET_ENV_STEPS + 1, 50)) for run in runs.values())
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert len(store.parents()) == 1
    assert {number: runs[number].info.run_id for number in before} == before


def wait_for_steps(store: Store, trial: int, env_steps: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = store.trials()
        if trial in runs and max(store.steps(runs[trial]), default=0) >= env_steps:
            return
        time.sleep(0.2)
    raise AssertionError("the sweep did not get that far")
