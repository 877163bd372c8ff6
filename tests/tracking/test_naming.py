"""Names of the trials' runs."""

from __future__ import annotations

import pytest

from tuneexp.tracking.naming import label_of, own_names, run_name
from tuneexp.tracking.outcome import COMPLETED, ERROR, INTERRUPTED, MLFLOW_STATUS, PRUNED, RUNNING

VALUES = {"learning_rate": 0.00312345, "n_steps": 256, "model/activation": "tanh", "net_arch": [64, 64], "clip": None}


def test_a_label_has_the_first_two_of_the_space_that_the_trial_has() -> None:
    varied = ["sgd/momentum", "learning_rate", "n_steps", "model/activation"]
    assert label_of(VALUES, varied) == "learning_rate=0.00312 n_steps=256"
    assert label_of(VALUES, ["model/activation", "net_arch"]) == "activation=tanh net_arch=[64, 64]"
    assert label_of(VALUES, ["clip"]) == "clip=null"
    assert label_of({}, varied) == ""


def test_a_name_tells_pruned_from_failed_before_anything_that_a_narrow_column_cuts() -> None:
    assert run_name(3, "gamma=0.9") == run_name(3, "gamma=0.9", COMPLETED) == run_name(3, "gamma=0.9", RUNNING)
    assert run_name(3, "gamma=0.9") == "003 gamma=0.9"
    assert run_name(3, "gamma=0.9", PRUNED) == "003 pruned gamma=0.9"
    assert run_name(3, "gamma=0.9", ERROR) == "003 failed gamma=0.9"
    assert run_name(1234, "x" * 300, INTERRUPTED) == f"1234 interrupted {'x' * 300}"[:200]


@pytest.mark.parametrize("outcome", [*MLFLOW_STATUS, RUNNING, INTERRUPTED])
def test_every_name_that_is_given_is_known_as_our_own(outcome: str) -> None:
    assert run_name(3, "gamma=0.9", outcome) in own_names(3, "gamma=0.9")
    assert "trial-003" in own_names(3, "gamma=0.9")  # of older versions
    assert "003 my favourite" not in own_names(3, "gamma=0.9")
