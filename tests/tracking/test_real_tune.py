"""The callback in a real Tune run: Tune's own trials, and its order of hooks."""

from __future__ import annotations

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
    """Trial 1 completes, 2 is stopped by the scheduler, 3 raises, 4 returns NaN, 5 runs out of memory."""
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
        2: ("pruned", "FINISHED"),
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
    own = {"env_steps", "objective", "return_mean", "seed/0/return_mean", "seed/1/return_mean", "wall_s"}
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
