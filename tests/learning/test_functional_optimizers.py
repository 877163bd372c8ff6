"""Functional optimizers against torch's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn, optim

from tuneexp.learning.functional_optimizers import functional
from tuneexp.learning.optimizers import RMSpropTFLike

STEPS = 50
TWINS: dict[str, Callable[..., optim.Optimizer]] = {
    "Adam": partial(optim.Adam, fused=True, eps=1e-5),
    "Adam, one by one": partial(optim.Adam, betas=(0.8, 0.97), foreach=False),
    "Adam with decay": partial(optim.Adam, fused=True, weight_decay=0.1),
    "AdamW": partial(optim.AdamW, fused=True, weight_decay=0.1),
    "Adam, decoupled": partial(optim.Adam, weight_decay=0.1, decoupled_weight_decay=True),
    "SGD": optim.SGD,
    "SGD with decay": partial(optim.SGD, weight_decay=0.1),
    "momentum": partial(optim.SGD, momentum=0.9, dampening=0.3, weight_decay=0.1),
    "Nesterov": partial(optim.SGD, momentum=0.9, nesterov=True),
    "RMSprop": optim.RMSprop,
    "RMSprop with decay": partial(optim.RMSprop, alpha=0.9, eps=1e-5, weight_decay=0.1),
    "RMSprop with momentum": partial(optim.RMSprop, momentum=0.9),
    "RMSprop, centered": partial(optim.RMSprop, centered=True, momentum=0.9),
}


@pytest.mark.parametrize("name", TWINS)
def test_fifty_steps_equal_those_of_torch(name: str) -> None:
    own = torch.Generator().manual_seed(0)
    first = torch.randn(40, generator=own)
    theirs = nn.Parameter(first.clone())
    optimizer = TWINS[name]([theirs], lr=1e-2)
    twin = functional(optimizer, optimizer.param_groups[0])
    assert twin is not None
    ours, moments = first.clone(), [torch.zeros(40) for _ in twin.moments]
    for done in range(STEPS):
        group = optimizer.param_groups[0]
        group["lr"] = 1e-2 * (1 - done / STEPS)
        gradient = torch.randn(40, generator=own) * 10.0 ** -(done % 4)
        numbers = twin.coefficients(group, done, STEPS - done)[0]
        ours, moments = twin.step(ours, gradient, moments, numbers.unbind())
        theirs.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=2e-6, atol=2e-7)
    state = optimizer.state[theirs]
    for moment, value in zip(twin.moments, moments, strict=True):
        rounding = max(1e-8, 4e-8 * float(value.abs().max()))  # of terms that cancel
        torch.testing.assert_close(value, state[moment], rtol=2e-6, atol=rounding)
    assert twin.counts_steps == ("step" in state)


def test_a_table_of_several_steps_is_that_of_each() -> None:
    for make in TWINS.values():
        optimizer = make([nn.Parameter(torch.zeros(1))], lr=1e-2)
        group = optimizer.param_groups[0]
        twin = functional(optimizer, group)
        assert twin is not None
        each = torch.cat([twin.coefficients(group, done, 1) for done in range(3, 7)])
        assert torch.equal(twin.coefficients(group, 3, 4), each)


class Mine(optim.Adam):
    """Adam of a user, whose step may differ."""


def hooked(parameters: Any) -> optim.Optimizer:
    optimizer = optim.Adam(parameters)
    optimizer.register_step_post_hook(lambda *_: None)
    return optimizer


@pytest.mark.parametrize(
    "make",
    [
        partial(optim.Adam, amsgrad=True), partial(optim.AdamW, maximize=True), partial(optim.SGD, maximize=True),
        partial(optim.Adam, lr=torch.tensor(1e-3)), optim.Adamax, optim.Rprop, RMSpropTFLike, Mine, hooked,
    ],
)  # fmt: skip
def test_others_have_no_functional_twin(make: Callable[..., optim.Optimizer]) -> None:
    optimizer = make([nn.Parameter(torch.zeros(1))])
    assert functional(optimizer, optimizer.param_groups[0]) is None
