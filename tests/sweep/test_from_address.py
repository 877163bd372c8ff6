"""Policies, trials and evaluations by address."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.stored import store_checkpoint, store_sweep
from tuneexp import evaluate, load_policy, trial_from_checkpoint
from tuneexp.errors import UserError

BEST = "trial_00000_id0/checkpoint_000000"
WITHOUT_RAY = """
import sys, tuneexp
result = tuneexp.load_sweep("kept", sys.argv[1])
policy = tuneexp.load_policy("kept", storage=sys.argv[1])
action = policy([0.0, 0.1, 0.0, 0.1])
result.dataframe(), result.curves(), result.study
print(action, *[name for name in ("ray", "mlflow") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep `kept`, of which only the best trial has its checkpoint."""
    runs = tmp_path_factory.mktemp("stored") / "runs"
    store_sweep(runs)
    store_checkpoint(runs / "kept" / BEST)
    return runs


def test_a_sweep_its_trial_and_the_path_of_its_checkpoint_are_the_same_policy(runs: Path) -> None:
    obs = [0.0, 0.1, 0.0, 0.1]
    policies = [load_policy(address, storage=runs) for address in ("kept", "kept/0", runs / "kept" / BEST)]
    assert len({(repr(policy), int(policy(obs))) for policy in policies}) == 1


def test_an_address_can_be_evaluated_and_trained_on(runs: Path) -> None:
    found = evaluate("kept", episodes=2, storage=runs)
    trial = trial_from_checkpoint("kept", storage=runs)
    assert found["return_per_seed"] == trial.evaluate(2, 10_000).mean(1).tolist()
    trial.training_step()
    assert trial.env_steps == 64
    trial.close()


def test_an_address_that_names_nothing_is_refused_with_the_nearest(runs: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'kept'"):
        load_policy("kep", storage=runs)
    with pytest.raises(UserError, match="last one is kept/1"):
        evaluate("kept/7", storage=runs)


def test_after_tuning_neither_ray_nor_mlflow_is_imported(runs: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_RAY, str(runs)], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() in (["0"], ["1"]), done
