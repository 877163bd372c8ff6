"""A torch optimizer over the stacked parameters that can leave single seeds exactly as they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.utils._pytree import tree_map

from tuneexp.errors import CheckpointError, UserError
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.rules import OptimizerFn
from tuneexp.learning.stack import FlatStack


class StackedOptimizer:
    """Wraps what `optimizer_fn` returns. Its step counter is shared by all seeds."""

    def __init__(self, stack: FlatStack, optimizer_fn: OptimizerFn, cfg: CfgView) -> None:
        self._stack = stack
        self._leaves = {name: nn.Parameter(leaf, requires_grad=True) for name, leaf in stack.leaves.items()}
        self.optimizer = optimizer_fn(self._leaves, cfg)
        _refuse_mixing(self.optimizer)
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
        """Keys are strings, so that it survives JSON. Copies: the live moments go on changing."""
        state = self.optimizer.state_dict()
        return {**state, "state": {str(key): tree_map(_copy, value) for key, value in state["state"].items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Moments come from `state`, hyperparameters stay those of the configuration, which may have changed.
        Raises `CheckpointError` for the state of an optimizer with other groups."""
        own = self.optimizer.state_dict()["param_groups"]
        if [group["params"] for group in own] != [group["params"] for group in state["param_groups"]]:
            raise CheckpointError("the checkpoint is of another optimizer: its groups of parameters differ")
        moments = {int(key): tree_map(_copy, value) for key, value in state["state"].items()}
        self.optimizer.load_state_dict({"state": moments, "param_groups": own})


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _refuse_mixing(optimizer: optim.Optimizer) -> None:
    """These look at more than one number at a time, and every parameter here holds all seeds."""
    if isinstance(optimizer, optim.LBFGS | optim.Adafactor | optim.Muon | optim.SparseAdam):
        raise UserError(
            f"optimizer_fn gave {type(optimizer).__name__}, which would mix the seeds of a trial: "
            "use one that acts elementwise, such as Adam, AdamW, RMSprop or SGD"
        )


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
