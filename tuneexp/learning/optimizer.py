"""A torch optimizer over the stacked parameters that can leave single seeds exactly as they were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn, optim

from tuneexp.learning.hyper import CfgView
from tuneexp.learning.rules import OptimizerFn
from tuneexp.learning.stack import FlatStack


class StackedOptimizer:
    """Wraps what `optimizer_fn` returns. Its step counter is shared by all seeds."""

    def __init__(self, stack: FlatStack, optimizer_fn: OptimizerFn, cfg: CfgView) -> None:
        self._stack = stack
        self._leaves = {name: nn.Parameter(leaf, requires_grad=True) for name, leaf in stack.leaves.items()}
        self.optimizer = optimizer_fn(self._leaves, cfg)
        self._flat = _flatten_single_group(self.optimizer, self._leaves, stack)
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def set_learning_rate_factor(self, factor: float) -> None:
        """Scale every group's first learning rate by the schedule."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def step(self, flat_gradient: Tensor, proceed: Tensor | None = None) -> None:
        """flat_gradient: [P]. proceed: [S] bool; None means every seed. A zero gradient would still
        move weights under Adam, so seeds that don't proceed get their old parameters and moments back."""
        if self._flat is not None:
            self._flat.grad = flat_gradient
        else:
            for leaf, gradient in zip(self._leaves.values(), self._stack.split(flat_gradient).values(), strict=True):
                leaf.grad = gradient
        if proceed is None:
            self.optimizer.step()
        else:
            self._step_selected(proceed)

    def _step_selected(self, proceed: Tensor) -> None:
        tensors = self._parameters()
        before = {id(p): p.detach().clone() for p in tensors}
        moments = {id(p): {k: v.clone() for k, v in self._moments(p).items()} for p in tensors}
        self.optimizer.step()
        with torch.no_grad():
            for p in tensors:
                chosen = self._mask(p, proceed)
                p.copy_(torch.where(chosen, p, before[id(p)]))
                for key, value in self._moments(p).items():
                    old = moments[id(p)].get(key, torch.zeros_like(value))
                    value.copy_(torch.where(chosen, value, old))

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Any] = self.optimizer.state.get(parameter, {})
        return {k: v for k, v in state.items() if isinstance(v, Tensor) and v.shape == parameter.shape}

    def _mask(self, parameter: Tensor, proceed: Tensor) -> Tensor:
        if self._flat is not None:
            return self._stack.per_element(proceed)
        return proceed.view(-1, *(1,) * (parameter.dim() - 1))

    def state_dict(self) -> dict[str, Any]:
        """Keys are strings, so that it survives JSON."""
        state = self.optimizer.state_dict()
        return {**state, "state": {str(key): value for key, value in state["state"].items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict({**state, "state": {int(key): value for key, value in state["state"].items()}})


def _flatten_single_group(
    optimizer: optim.Optimizer, leaves: dict[str, nn.Parameter], stack: FlatStack
) -> nn.Parameter | None:
    """Where one group holds every leaf, let it hold the flat storage instead: the same arithmetic
    (the optimizer is elementwise) in one kernel call instead of one a leaf."""
    groups = optimizer.param_groups
    whole = len(groups) == 1 and [id(p) for p in groups[0]["params"]] == [id(p) for p in leaves.values()]
    if not whole or optimizer.state:
        return None
    flat = nn.Parameter(stack.flat, requires_grad=True)
    groups[0]["params"] = [flat]
    return flat
