"""Resources that a trial requests from a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.trial.resource_request import bundles_of, resource_text


@pytest.mark.parametrize(
    ("asked", "bundles", "words"),
    [
        ({}, [{"CPU": 1}], "1 CPU, and more with num_env_runners or num_learners"),
        (
            {"num_env_runners": 2, "num_cpus_per_env_runner": 0.5},
            [{"CPU": 1}, {"CPU": 0.5}, {"CPU": 0.5}],
            "2 CPUs: 1 of its own, 2 env runner(s) of 0.5",
        ),
        (
            {"num_learners": 2, "num_gpus_per_learner": 1},
            [{"CPU": 1}, {"CPU": 1, "GPU": 1}, {"CPU": 1, "GPU": 1}],
            "3 CPUs and 2 GPUs: 1 of its own, 2 learner(s) of 1",
        ),
    ],
)
def test_a_trial_takes_its_own_cpu_and_a_bundle_for_each_process(
    asked: dict[str, Any], bundles: list[dict[str, float]], words: str
) -> None:
    cfg = PPOConfig(**asked)
    assert bundles_of(cfg) == bundles
    assert resource_text(cfg) == f"a trial takes {words}"
