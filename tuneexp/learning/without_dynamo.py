"""Torch optimizers that do not import `torch._dynamo`, torch's compiler front end, which training never calls.

Importing it takes about a second of each process that trains. Torch does so when an optimizer is made and at its first
step. Obsolete once torch imports it only where `torch.compile` is used. tests/learning/test_without_dynamo.py fails if
torch changes what is used here."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import optim

# Methods that torch excludes from `torch.compile`; the first call of each imports torch._dynamo.
_EXCLUDED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def make_methods_plain() -> None:
    """Let the methods of optimizers run without being excluded from `torch.compile`, unless they have run already."""
    for name in _EXCLUDED:
        method = getattr(optim.Optimizer, name)
        function = inspect.unwrap(method)
        if function is not method and not hasattr(function, "__dynamo_disable"):
            setattr(function, "__dynamo_disable", function)


def plain_step(optimizer: optim.Optimizer) -> Callable[[], object]:
    """Return `optimizer.step` of one of torch's optimizers without its decorators: profiler, hooks, graph breaks.

    An optimizer with hooks, a differentiable one, and one of another library keep their own `step`."""
    hooks = [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    if any(hooks) or optimizer.defaults.get("differentiable") or not _of_torch(optimizer):
        return optimizer.step
    step = inspect.unwrap(type(optimizer).step)

    def stepped() -> None:
        with torch.no_grad():
            step(optimizer)

    return stepped


def _of_torch(optimizer: optim.Optimizer) -> bool:
    return type(optimizer).step.__module__.startswith("torch.optim.")
