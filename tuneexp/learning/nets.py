"""Networks as functions of their parameters.

`nets.online(obs)` calls the model; `nets.online.value(obs)` calls one of its methods or heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.func import vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from tuneexp.errors import UserError

Params = Mapping[str, Tensor]
Place = tuple[dict[str, Any], str]
"""The `_parameters` of a module, and a name in it."""


class Bound:
    """A model with the parameters of one seed. Calls of it and of its methods use these."""

    def __init__(self, model: nn.Module, params: Params) -> None:
        self._model, self._params = model, params

    def __call__(self, *args: Any) -> Any:
        return self._called("__call__", args)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("__"):
            raise AttributeError(method)
        return lambda *args: self._called(method, args)

    def _called(self, method: str, args: tuple[Any, ...]) -> Any:
        """Call a method with the parameters in place, as `torch.func.functional_call` does.

        That function searches for each parameter's module on every call, which takes longer than a small network."""
        places = places_of(self._model)
        own = [(held, key, held[key]) for name in self._params for held, key in places[name]]
        for name, value in self._params.items():
            for held, key in places[name]:
                held[key] = value
        try:
            return getattr(self._model, method)(*args)
        finally:
            for held, key, value in own:
                held[key] = value


_PLACES: WeakKeyDictionary[nn.Module, dict[str, list[Place]]] = WeakKeyDictionary()


def places_of(model: nn.Module) -> dict[str, list[Place]]:
    """Return the modules that hold each parameter, by name. A tied parameter has several."""
    if model not in _PLACES:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        places: dict[str, list[Place]] = {name: [] for name in names.values()}
        for module in model.modules():
            for key, parameter in module._parameters.items():
                if parameter is not None:
                    places[names[id(parameter)]].append((module._parameters, key))
        _PLACES[model] = places
    return _PLACES[model]


class StackedBound:
    """A model over all seeds: inputs and outputs [T, S, ...], parameters [S, ...]."""

    def __init__(self, model: nn.Module, params: Params) -> None:
        self._model = model
        self._params = dict(params)

    def __call__(self, *args: Any) -> Any:
        return self._mapped("__call__", args)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("__"):
            raise AttributeError(method)
        return lambda *args: self._mapped(method, args)

    def _mapped(self, method: str, args: tuple[Any, ...]) -> Any:
        shape: list[Any] = []

        def one_seed(params: Params, *inputs: Tensor) -> tuple[Tensor, ...]:
            leaves, structure = tree_flatten(getattr(Bound(self._model, params), method)(*inputs))
            tensors = [isinstance(leaf, Tensor) for leaf in leaves]  # a model may have None where others have a part
            shape[:] = [structure, tensors]
            return tuple(leaf for leaf, is_tensor in zip(leaves, tensors, strict=True) if is_tensor)

        if next(iter(self._params.values())).shape[0] == 1:
            # One seed needs no vmap, which costs more than a small network itself.
            params = {name: value[0] for name, value in self._params.items()}
            outputs = tuple(out.unsqueeze(1) for out in one_seed(params, *(arg.squeeze(1) for arg in args)))
        else:
            outputs = vmap(one_seed, in_dims=(0, *(1 for _ in args)), out_dims=1)(self._params, *args)
        structure, tensors = shape
        remaining = iter(outputs)
        return tree_unflatten([next(remaining) if is_tensor else None for is_tensor in tensors], structure)


class NoTarget:
    """Placeholder of missing target networks. Every use raises `UserError`."""

    def __getattr__(self, method: str) -> Any:
        if method.startswith("__"):
            raise AttributeError(method)
        raise UserError(
            f"nets.target.{method} is asked for, but there are no target networks here: give the algorithm "
            "target=TargetUpdate(tau, every); act_fn has none in any case"
        )

    __call__: Any = property(lambda self: self.forward)


@dataclass(frozen=True)
class Nets:
    """Networks that the functions of an algorithm call: `nets.online.value(obs)` is the method `value` of the model.

    Inputs and outputs have the axes of the function: [N, ...] in an `act_fn`, [B, ...] in a `loss_fn`, and
    [T, S, N, ...] of all seeds in a `postprocess_fn`.

    Attributes:
        online: The networks, with gradients.
        frozen: The same parameters, detached.
        target: The target networks, without gradients; each use raises `UserError` without a `TargetUpdate`.
    """

    online: Any
    frozen: Any
    target: Any = field(default_factory=lambda: NoTarget())

    @classmethod
    def of_one_seed(cls, model: nn.Module, params: Params, target: Params | None = None) -> Nets:
        detached = {name: value.detach() for name, value in params.items()}
        lagging = NoTarget() if target is None else Bound(model, target)
        return cls(online=Bound(model, params), frozen=Bound(model, detached), target=lagging)

    @classmethod
    def of_all_seeds(cls, model: nn.Module, params: Params, target: Params | None = None) -> Nets:
        stacked = StackedBound(model, params)
        return cls(online=stacked, frozen=stacked, target=NoTarget() if target is None else StackedBound(model, target))
