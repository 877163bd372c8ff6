"""Optimizers by name: the hyperparameters `optimizer_class` and `optimizer_kwargs`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn, optim

from tuneexp.config import Config
from tuneexp.errors import UserError, unknown_name
from tuneexp.learning.algorithm_functions import OptimizerFn
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.user_functions import name_of


class RMSpropTFLike(optim.Optimizer):
    """RMSprop of TensorFlow and of Stable-Baselines3's `sb2_compat`.

    Mnih et al. 2016 (arXiv:1602.01783), eq. 1: epsilon is added under the root, where torch adds it to the root. The
    mean square starts at 1. Published configurations of A2C for Atari use it.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        alpha: decay of the mean square.
        eps: added to the mean square.
        weight_decay: L2 penalty.
        momentum: of the update; 0: none.
    """

    first_moments: ClassVar[Mapping[str, float]] = {"square_avg": 1.0}

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0.0, momentum: float = 0.0,
    ) -> None:  # fmt: skip
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # no closure is ever given
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad, self.state[parameter], group)

    def _step(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: Mapping[str, Any]) -> None:
        if not state:
            state["step"] = 0
            state["square_avg"] = torch.full_like(parameter, self.first_moments["square_avg"])
            if group["momentum"]:
                state["momentum_buffer"] = torch.zeros_like(parameter)
        state["step"] += 1
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        square = state["square_avg"].mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
        root = square.add(group["eps"]).sqrt_()
        if group["momentum"]:
            state["momentum_buffer"].mul_(group["momentum"]).addcdiv_(gradient, root)
            parameter.sub_(state["momentum_buffer"], alpha=group["lr"])
        else:
            parameter.addcdiv_(gradient, root, value=-group["lr"])


# By the names of the field `optimizer_class`. Fused: one kernel a step, the same arithmetic.
OPTIMIZERS: dict[str, tuple[Callable[..., optim.Optimizer], dict[str, Any]]] = {
    "Adam": (optim.Adam, {"fused": True}),
    "AdamW": (optim.AdamW, {"fused": True}),
    "RMSprop": (optim.RMSprop, {}),
    "RMSpropTFLike": (RMSpropTFLike, {}),
    "SGD": (optim.SGD, {}),
}


def optimizer_of(
    named_parameters: Mapping[str, nn.Parameter], cfg: CfgView, name: str = "Adam", **own: Any
) -> optim.Optimizer:
    """Return the optimizer of an algorithm.

    `optimizer_class` and `optimizer_kwargs` of the configuration replace `name` and `own`, as in Stable-Baselines3.
    Adam: Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1; AdamW: Loshchilov and Hutter 2019 (arXiv:1711.05101);
    RMSprop: Mnih et al. 2016 (arXiv:1602.01783), eq. 1, with epsilon outside of the root.

    Args:
        named_parameters: Name -> parameter of all seeds, [S, ...].
        cfg: Hyperparameters; `learning_rate`, `optimizer_class` and `optimizer_kwargs` are read.
        name: Default optimizer: "Adam", "AdamW", "RMSprop", "RMSpropTFLike" or "SGD".
        own: Its default arguments, except the learning rate.

    Returns:
        The optimizer, over all given parameters.

    Raises:
        UserError: an argument that the optimizer does not take.
    """
    chosen, given = cfg.optimizer_class or name, dict(cfg.optimizer_kwargs)
    make, settled = OPTIMIZERS[chosen]
    arguments = given if given or cfg.optimizer_class else own
    known = inspect.signature(make).parameters.keys() - {"params", "lr", "fused"}
    for argument in arguments:
        if argument not in known:
            raise unknown_name(f"argument of {chosen}", argument, known, "optimizer_kwargs")
    try:
        return make(named_parameters.values(), lr=cfg.learning_rate, **settled, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"optimizer_kwargs={given} don't fit {chosen}: {error}") from error


def require_chosen(cfg: Config, read: Collection[str], optimizer_fn: OptimizerFn) -> None:
    """Raise `UserError` if `cfg` names an optimizer that `optimizer_fn` ignores. read: the fields that it reads."""
    asked = [name for name in ("optimizer_class", "optimizer_kwargs") if getattr(cfg, name, None)]
    if ignored := [name for name in asked if name not in read]:
        raise UserError(
            f"{' and '.join(ignored)}: {name_of(optimizer_fn)} chooses its own optimizer; leave it out, or return "
            "tuneexp.learning.optimizers.optimizer_of(named_parameters, cfg) there"
        )
