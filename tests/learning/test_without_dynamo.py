"""Training without torch's compiler front end, and with the arithmetic of the public `step`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn, optim

from tuneexp.learning.without_dynamo import plain_step

TRAIN = """
import sys
from tests.small import small_trial
trial = small_trial([3], compile="off")
trial.training_step()
trial.load_state_dict(trial.state_dict())
print("torch._dynamo" in sys.modules)
"""


def test_eager_training_of_one_seed_does_not_import_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(
    "make",
    [optim.Adam, optim.AdamW, optim.RMSprop, lambda p: optim.SGD(p, lr=0.1, momentum=0.9)],
    ids=["Adam", "AdamW", "RMSprop", "SGD"],
)
def test_the_step_is_that_of_torch(make: Callable[[Any], optim.Optimizer]) -> None:
    start = torch.randn(7)
    parameters = [nn.Parameter(start.clone()) for _ in range(2)]
    public, plain = (make([parameter]) for parameter in parameters)
    take_step = plain_step(plain)
    for _ in range(3):
        gradient = torch.randn(7)
        for parameter in parameters:
            parameter.grad = gradient.clone()
        public.step()
        take_step()
        assert torch.equal(*parameters)
    assert not torch.equal(parameters[0], start)


def test_hooks_of_a_step_are_called() -> None:
    optimizer, calls = optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1), []
    optimizer.register_step_pre_hook(lambda *arguments: calls.append(1))
    plain_step(optimizer)()
    assert calls == [1]
