"""experiments/custom_algorithm.py: a custom algorithm is swept, interrupted, resumed and compared."""

from __future__ import annotations

import ast
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuneexp.addresses import code_hash
from tuneexp.algorithms.registry import load_spec
from tuneexp.sweep import Sweep, load_sweep, resume
from tuneexp.sweep.resuming import report_changed_sources
from tuneexp.sweep.storage.folder import sweep_folder
from tuneexp.sweep.sweep_config import read_config

SCRIPT = Path(__file__).parents[2] / "experiments" / "custom_algorithm.py"
STEPS = 8_000  # ten reports, so the signal comes before the end
SMALL = {"trials": 2, "seeds": 2, "compile": "off", "scheduler": "fifo", "concurrency": 2,
         "evaluation": {"episodes": 2, "final_episodes": 2}}  # fmt: skip


def test_the_algorithm_is_under_80_lines() -> None:
    """From its imports to its specification; the code that tunes it comes later."""
    body = ast.parse(SCRIPT.read_text()).body
    spec = next(node for node in body if isinstance(node, ast.Assign) and "REINFORCE" in ast.unparse(node.targets[0]))
    assert (spec.end_lineno or 0) - body[1].lineno + 1 < 80


def test_it_learns_cartpole() -> None:
    algo = load_spec(f"{SCRIPT}:REINFORCE").build(
        "CartPole-v1", seeds=[0, 1], budget_env_steps=60_000, report_every_env_steps=60_000, compile="off",
        learning_rate=3e-3,
    )  # fmt: skip
    result = algo.train()
    algo.cleanup()
    assert min(result["return_per_seed"]) > 200.0  # a random policy reaches about 22


def interrupted(script: Path, storage: Path) -> None:
    """Start the script's sweeps and stop them with Ctrl-C when there is a checkpoint."""
    command = [sys.executable, str(script), "--trials", "2", "--seeds", "2", "--env-steps", str(STEPS)]
    process = subprocess.Popen(
        [*command, "--name", "mine", "--storage", str(storage)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = time.monotonic() + 150
    while not list(storage.glob("mine/trial_*/checkpoint_*/state.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("ray_cluster", "mlflow_tables")
def test_a_resumed_sweep_is_of_the_same_algorithm_and_stands_beside_ppo_in_mlflow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A copy elsewhere: nothing in the package or beside it knows of this file.
    script, storage = Path(shutil.copy(SCRIPT, tmp_path / "mine.py")), tmp_path / "runs"
    interrupted(script, storage)
    config = read_config(sweep_folder("mine", storage))
    assert config.trial.algorithm == f"{script}:REINFORCE"
    assert config.trial.sources[f"{script}:REINFORCE"] == code_hash(f"{script}:REINFORCE")

    result = resume("mine", storage)
    assert [trial.env_steps >= STEPS or trial.outcome == "pruned" for trial in result.trials] == [True, True]
    assert load_sweep("mine", storage) == result
    assert "changed" not in caplog.text

    space = {"learning_rate": {"loguniform": [1e-3, 1e-2]}}
    Sweep("ppo", "CartPole-v1", space, budget_env_steps=2048, name="ppo", storage=storage, **SMALL).run()  # type: ignore[arg-type]
    assert algorithms_by_experiment(storage) == {"CartPole-v1": {f"{script}:REINFORCE", "ppo"}}


def algorithms_by_experiment(storage: Path) -> dict[str, set[str]]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    found: dict[str, set[str]] = {}
    for experiment in client.search_experiments():
        runs = client.search_runs([experiment.experiment_id])
        parents = {run.info.run_id: run.data.tags["algorithm"] for run in runs if "algorithm" in run.data.tags}
        with_trials = {run.data.tags["mlflow.parentRunId"] for run in runs if "mlflow.parentRunId" in run.data.tags}
        if with_trials:
            found[experiment.name] = {parents[run] for run in with_trials}
    return found


def test_a_changed_source_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = Path(shutil.copy(SCRIPT, tmp_path / "mine.py"))
    space = {"learning_rate": {"loguniform": [1e-3, 1e-2]}}
    sweep = Sweep(f"{script}:REINFORCE", "CartPole-v1", space, name="mine", storage=tmp_path, **SMALL)  # type: ignore[arg-type]
    report_changed_sources(sweep.config)
    assert not caplog.text
    script.write_text(script.read_text() + "# another line\n")
    report_changed_sources(sweep.config)
    assert f"the source of {script}:REINFORCE has changed" in caplog.text
