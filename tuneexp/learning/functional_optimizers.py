"""Optimizers as functions of tensors, for programs that hold a whole update.

Each is the twin of one of torch's optimizers, which stays the owner of the moments. All its numbers travel in a table
of coefficients, one row a step: a new learning rate, a later step or another decay needs no new program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, optim


class FunctionalOptimizer(Protocol):
    """Optimizer of one group of parameters.

    Attributes:
        moments: names in the state of torch's optimizer, each of the shape of its parameter.
        counts_steps: the state has a counter `step`.
    """

    @property
    def moments(self) -> tuple[str, ...]: ...

    @property
    def counts_steps(self) -> bool: ...

    def coefficients(self, group: Mapping[str, Any], done: int, n_steps: int) -> Tensor:
        """Return the numbers of the coming steps, [n_steps, C] float32.

        Args:
            group: of torch's optimizer.
            done: steps that the group has taken.
            n_steps: number of coming steps.
        """

    def step(
        self, parameter: Tensor, gradient: Tensor, moments: Sequence[Tensor], numbers: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return a parameter and its moments after a step. numbers: one row of the coefficients, 0-d each."""


@dataclass(frozen=True)
class FunctionalAdam:
    """Adam and AdamW.

    Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1; Loshchilov and Hutter 2019 (arXiv:1711.05101).

    Args:
        decoupled: weight decay of AdamW instead of an L2 penalty.
    """

    decoupled: bool

    moments = ("exp_avg", "exp_avg_sq")
    counts_steps = True

    def coefficients(self, group: Mapping[str, Any], done: int, n_steps: int) -> Tensor:
        (beta1, beta2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
        step = torch.arange(done + 1, done + n_steps + 1, dtype=torch.float64)
        changing = [lr / (1 - beta1**step), (1 - beta2**step).sqrt()]
        constant = [1 - beta1, beta2, 1 - beta2, group["eps"], 1 - lr * decay if self.decoupled else decay]
        return _table(changing, constant)

    def step(
        self, parameter: Tensor, gradient: Tensor, moments: Sequence[Tensor], numbers: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        rate, correction, first, keep, second, eps, decay = numbers
        if self.decoupled:
            parameter = parameter * decay
        else:
            gradient = gradient + parameter * decay
        mean = moments[0] + (gradient - moments[0]) * first
        square = moments[1] * keep + gradient * gradient * second
        return parameter - rate * (mean / (square.sqrt() / correction + eps)), [mean, square]


@dataclass(frozen=True)
class FunctionalSGD:
    """Stochastic gradient descent with torch's momentum.

    Args:
        momentum: there is a buffer of momentum.
        nesterov: it is Nesterov's momentum.
    """

    momentum: bool
    nesterov: bool

    counts_steps = False

    @property
    def moments(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    def coefficients(self, group: Mapping[str, Any], done: int, n_steps: int) -> Tensor:
        share = torch.full((n_steps,), 1.0 - group["dampening"], dtype=torch.float64)
        if not done:
            share[:1] = 1.0  # torch's buffer begins with the first gradient, which is not dampened
        return _table([share], [group["lr"], group["momentum"], group["weight_decay"]])

    def step(
        self, parameter: Tensor, gradient: Tensor, moments: Sequence[Tensor], numbers: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        share, rate, momentum, decay = numbers
        gradient = gradient + parameter * decay
        if not self.momentum:
            return parameter - rate * gradient, []
        buffer = moments[0] * momentum + gradient * share
        return parameter - rate * (gradient + buffer * momentum if self.nesterov else buffer), [buffer]


@dataclass(frozen=True)
class FunctionalRMSprop:
    """RMSprop, with epsilon outside of the root as in torch.

    Mnih et al. 2016 (arXiv:1602.01783), eq. 1.

    Args:
        momentum: there is a buffer of momentum.
        centered: the mean square is replaced by the variance.
    """

    momentum: bool
    centered: bool

    counts_steps = True

    @property
    def moments(self) -> tuple[str, ...]:
        own = ("square_avg", *(("momentum_buffer",) if self.momentum else ()))
        return (*own, "grad_avg") if self.centered else own

    def coefficients(self, group: Mapping[str, Any], done: int, n_steps: int) -> Tensor:
        alpha = group["alpha"]
        constant = [group["lr"], alpha, 1 - alpha, group["eps"], group["weight_decay"], group["momentum"]]
        return _table([torch.ones(n_steps, dtype=torch.float64)], constant)[:, 1:]

    def step(
        self, parameter: Tensor, gradient: Tensor, moments: Sequence[Tensor], numbers: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        rate, alpha, rest, eps, decay, momentum = numbers
        gradient = gradient + parameter * decay
        square = moments[0] * alpha + gradient * gradient * rest
        after, variance = [square], square
        buffer = moments[1] if self.momentum else None
        mean = moments[-1] + (gradient - moments[-1]) * rest if self.centered else None
        if mean is not None:
            variance = square - mean * mean
        move = gradient / (variance.sqrt() + eps)
        if buffer is not None:
            move = buffer * momentum + move
            after.append(move)
        return parameter - rate * move, after if mean is None else [*after, mean]


def _table(changing: Sequence[Tensor], constant: Sequence[float]) -> Tensor:
    """Return columns [n, C] of float64 columns [n] and of numbers that are equal in all rows."""
    rest = torch.tensor(constant, dtype=torch.float64).expand(len(changing[0]), -1)
    return torch.cat([torch.stack(list(changing), 1), rest], 1).float()


def functional(optimizer: optim.Optimizer, group: Mapping[str, Any]) -> FunctionalOptimizer | None:
    """Return the twin of a group of one of torch's optimizers; None: it has none."""
    if type(optimizer) not in (optim.Adam, optim.AdamW, optim.SGD, optim.RMSprop):
        return None
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    switches = any(group.get(name) for name in ("amsgrad", "maximize", "differentiable", "capturable"))
    numbers = [group["lr"], group["weight_decay"], *group.get("betas", ())]
    if hooks or "step" in vars(optimizer) or switches or any(isinstance(number, Tensor) for number in numbers):
        return None
    if isinstance(optimizer, optim.Adam):
        return FunctionalAdam(decoupled=bool(group["decoupled_weight_decay"]))
    if isinstance(optimizer, optim.SGD):
        return FunctionalSGD(momentum=bool(group["momentum"]), nesterov=bool(group["nesterov"]))
    return FunctionalRMSprop(momentum=bool(group["momentum"]), centered=bool(group["centered"]))
