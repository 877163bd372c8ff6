"""Stateful exploration in remote env runners."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.algorithms.noisy import noisy_trial, sampled
from tuneexp.trial import Trial

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.mark.usefixtures("ray_cluster")
def test_runners_of_other_processes_carry_the_process_on() -> None:
    def two(trial: Trial) -> list[dict[str, Tensor]]:
        trial.group.sample(5)
        return [sampled(trial)]

    local = two(noisy_trial([3, 5]))
    remote = two(noisy_trial([3, 5], num_env_runners=2, num_cpus_per_env_runner=0.1))
    for mine, theirs in zip(local, remote, strict=True):
        for name in ("state", "next_state", "action", "start"):
            torch.testing.assert_close(theirs[name], mine[name], rtol=1e-5, atol=1e-5, msg=name)
