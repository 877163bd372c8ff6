"""Torch optimizer over stacked parameters, with a mask of the seeds that are updated."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.utils._pytree import tree_map

from tuneexp.errors import CheckpointError, UserError
from tuneexp.learning.algorithm_functions import OptimizerFn
from tuneexp.learning.devices import stored
from tuneexp.learning.flat_parameters import FlatStack
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.loss_parts import part_of
from tuneexp.learning.user_functions import require_result, wrap_errors
from tuneexp.learning.without_dynamo import make_methods_plain, plain_step

log = logging.getLogger(__name__)


class StackedOptimizer:
    """The optimizer that `optimizer_fn` returns, over blocks of the flat storage.

    The parameters of each group are replaced by blocks (a single one if a group holds everything): the same arithmetic,
    as the optimizer is elementwise, in one kernel call instead of one a leaf. All seeds share its step counters.

    Args:
        stack: the parameters.
        optimizer_fn: of the algorithm.
        cfg: the algorithm's configuration.
        parts: parts of the loss with an update period of their own. They get blocks of their own.

    Attributes:
        optimizer: from `optimizer_fn`, over the blocks.
        blocks: in the order of its groups.

    Raises:
        UserError: `optimizer_fn` fails, or its optimizer does not act elementwise.
    """

    def __init__(self, stack: FlatStack, optimizer_fn: OptimizerFn, cfg: CfgView, parts: Collection[str] = ()) -> None:
        self._stack = stack
        leaves = {name: nn.Parameter(leaf, requires_grad=True) for name, leaf in stack.leaves.items()}
        make_methods_plain()
        with wrap_errors("optimizer_fn", optimizer_fn):
            self.optimizer = optimizer_fn(leaves, cfg)
        require_result(isinstance(self.optimizer, optim.Optimizer), "optimizer_fn", optimizer_fn, self.optimizer)
        _refuse_unfit(self.optimizer)
        names = {id(leaf): name for name, leaf in leaves.items()}
        _warn_of_absent(self.optimizer, names)
        self.blocks: list[Block] = []
        for group in self.optimizer.param_groups:
            owned = {names[id(p)] for p in group["params"]}
            blocks = [Block.of(stack, block, parts) for block in _adjacent(stack, owned, parts)]
            group["params"] = [block.parameter for block in blocks]
            group.setdefault("initial_lr", group["lr"])
            self.blocks += blocks
        self._take_step = plain_step(self.optimizer)
        self._ratios: Tensor | None = None

    def set_learning_rate_factor(self, factor: float) -> None:
        """Scale every group's first learning rate by the schedule."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def set_rate_ratios(self, ratios: Tensor) -> None:
        """Multiply the steps of each seed. ratios: [S]."""
        self._ratios = self._stack.per_element(ratios)

    def step(
        self, flat_gradient: Tensor, proceed: Tensor | None = None, omitted: Collection[str] = frozenset()
    ) -> None:
        """Take one step.

        Adam moves parameters under a zero gradient, too. So the seeds that do not proceed get their old parameters and
        moments back.

        Args:
            flat_gradient: [P].
            proceed: [S] bool, the seeds that take the step; None: all.
            omitted: parts without an update. Their gradient is None, which an optimizer skips.
        """
        for block in self.blocks:
            block.parameter.grad = None if block.part in omitted else flat_gradient[block.span]
        before = None if self._ratios is None else self._stack.flat.clone()
        if proceed is None:
            self._take_step()
        else:
            self._step_selected(proceed, [block for block in self.blocks if block.part not in omitted])
        if before is not None and self._ratios is not None:
            with torch.no_grad():
                self._stack.flat.copy_(torch.lerp(before, self._stack.flat, self._ratios))

    def _step_selected(self, proceed: Tensor, blocks: Sequence[Block]) -> None:
        before = [block.parameter.detach().clone() for block in blocks]
        moments = [{k: v.clone() for k, v in self._moments(block.parameter).items()} for block in blocks]
        self._take_step()
        everyone = self._stack.per_element(proceed)
        with torch.no_grad():
            for block, old_values, old_moments in zip(blocks, before, moments, strict=True):
                chosen = everyone[block.span]
                block.parameter.copy_(torch.where(chosen, block.parameter, old_values))
                for key, value in self._moments(block.parameter).items():
                    old = old_moments.get(key, torch.full_like(value, self._first(key)))
                    value.copy_(torch.where(chosen, value, old))

    def _first(self, moment: str) -> float:
        """Return the initial value of a moment: 0, or the optimizer's own."""
        return getattr(self.optimizer, "first_moments", {}).get(moment, 0.0)

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Any] = self.optimizer.state.get(parameter, {})
        return {k: v for k, v in state.items() if isinstance(v, Tensor) and v.shape == parameter.shape}

    def copy_elements(self, elements: Tensor) -> None:
        """Copy moments between seeds. elements: [P], from `FlatStack.elements_of`."""
        for block in self.blocks:
            inside = elements[block.span] - block.span.start
            for value in self._moments(block.parameter).values():
                value.copy_(value[inside])

    def state_dict(self) -> dict[str, Any]:
        """Return copies on the CPU. Keys are strings, as in JSON."""
        state = self.optimizer.state_dict()
        return {**state, "state": {str(key): tree_map(_stored, value) for key, value in state["state"].items()}}

    def state_of_seeds(self, chosen: Tensor) -> dict[str, Any]:
        """Return the `state_dict` of some seeds. chosen: [S] bool."""
        state, elements = self.state_dict(), self._stack.per_element(chosen).cpu()
        for key, block in enumerate(self.blocks):
            own = state["state"].get(str(key), {})
            of_seeds = elements[block.span]
            moments = {name: value[of_seeds] for name, value in own.items() if _per_element(value, of_seeds.numel())}
            own.update(moments)
        return state

    def joined_state(self, states: Sequence[Mapping[str, Any]], chosen: Sequence[Tensor]) -> dict[str, Any]:
        """Join states of disjoint seeds.

        Shared values, such as the step counter, come from the state with the most steps.

        Args:
            states: from `state_of_seeds`.
            chosen: [S] bool each; together all seeds.

        Returns:
            A `state_dict` of all seeds.
        """
        joined = self.state_dict()
        elements = [self._stack.per_element(own).cpu() for own in chosen]
        pairs = [(state["state"], own) for state, own in zip(states, elements, strict=True)]
        for number, block in enumerate(self.blocks):
            key = str(number)
            if held := [(state[key], own[block.span]) for state, own in pairs if key in state]:
                joined["state"][key] = _joined(held, self._first)
        return joined

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the moments. Hyperparameters stay those of the configuration, which may have changed.

        Raises:
            CheckpointError: the state is of an optimizer with other groups.
        """
        own = self.optimizer.state_dict()["param_groups"]
        if [group["params"] for group in own] != [group["params"] for group in state["param_groups"]]:
            raise CheckpointError("the checkpoint is of another optimizer: its groups of parameters differ")
        # Copies: torch keeps what it is given, where it is on the device already.
        moments = {int(key): tree_map(_stored, value) for key, value in state["state"].items()}
        self.optimizer.load_state_dict({"state": moments, "param_groups": own})


def _stored(value: Any) -> Any:
    return stored(value) if isinstance(value, Tensor) else value


def _per_element(value: Any, n_elements: int) -> bool:
    return isinstance(value, Tensor) and value.shape == (n_elements,)


def _joined(held: Sequence[tuple[Mapping[str, Any], Tensor]], first: Callable[[str], float]) -> dict[str, Any]:
    """Join states of one block. held: the state of some seeds, and their numbers in the block, [n] bool."""
    leader, leaders = max(held, key=lambda pair: float(pair[0].get("step", 0)))
    joined = dict(leader)
    for name, value in leader.items():
        if _per_element(value, int(leaders.sum())):
            joined[name] = value.new_full(leaders.shape, first(name))
            for own, numbers in held:
                joined[name][numbers] = own[name]
    return joined


def _refuse_unfit(optimizer: optim.Optimizer) -> None:
    """Refuse optimizers that do not act elementwise: every parameter holds all seeds."""
    if isinstance(optimizer, optim.LBFGS | optim.Adafactor | optim.Muon | optim.SparseAdam):
        raise UserError(
            f"optimizer_fn gave {type(optimizer).__name__}, which would mix the seeds of a trial: "
            "use one that acts elementwise, such as Adam, AdamW, RMSprop or SGD"
        )
    if optimizer.state:
        raise UserError("optimizer_fn gave an optimizer that has taken a step already; return a new one")


def _warn_of_absent(optimizer: optim.Optimizer, names: Mapping[int, str]) -> None:
    """Warn of parameters that `optimizer_fn` leaves out. It is allowed, but seldom intended."""
    stepped = {id(leaf) for group in optimizer.param_groups for leaf in group["params"]}
    if absent := [name for key, name in names.items() if key not in stepped]:
        log.warning("optimizer_fn leaves out %s: they stay as they are", ", ".join(absent))


@dataclass(frozen=True)
class Block:
    """Adjacent leaves of one group and part. parameter: [size of span], a view of the flat storage."""

    parameter: nn.Parameter
    span: slice
    part: str | None
    names: tuple[str, ...]

    @classmethod
    def of(cls, stack: FlatStack, names: Sequence[str], parts: Collection[str]) -> Block:
        span = slice(stack.spans[names[0]].start, stack.spans[names[-1]].stop)
        return cls(nn.Parameter(stack.flat[span], requires_grad=True), span, part_of(names[0], parts), tuple(names))


def _adjacent(stack: FlatStack, owned: Collection[str], parts: Collection[str]) -> list[list[str]]:
    """Return runs of adjacent names of `owned`, in the order of the stack, each of one part."""
    keys = [(name in owned, part_of(name, parts)) for name in stack.shapes]
    runs = groupby(zip(stack.shapes, keys, strict=True), key=lambda pair: pair[1])
    return [[name for name, _ in run] for (is_owned, _), run in runs if is_owned]
