"""Simulated second device: it computes on the CPU and refuses operations with CPU tensors.

Its tensors wrap CPU tensors and report the device `meta`, which torch treats like any other device. As on a GPU, an
operation on tensors of both devices is an error, except for 0-d CPU tensors. Conversion to an array requires a move to
the CPU first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import optimizer
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

from tuneexp.learning import flat_parameters
from tuneexp.learning.compile import build, program
from tuneexp.trial import environments

DEVICE = torch.device("meta")
_MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class OnDevice(Tensor):
    """Tensor on the simulated device. inner: the CPU tensor that it wraps."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnDevice:
        made = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=DEVICE,
        )  # fmt: skip
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.inner})"


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
    here = any(isinstance(tensor, OnDevice) for tensor in tensors)
    strangers = [tensor for tensor in tensors if not isinstance(tensor, OnDevice) and tensor.dim()]
    if here and strangers and function not in _MOVES:
        raise RuntimeError(f"{function}: tensors on two devices, {[tuple(tensor.shape) for tensor in strangers]}")
    wanted = kwargs.get("device")
    onto = here if wanted is None else torch.device(wanted) == DEVICE
    if wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    out = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if function is torch.ops.aten.copy_.default:
        return args[0]
    if not onto:
        return out
    wrapped = tree_map(lambda leaf: OnDevice(leaf) if isinstance(leaf, Tensor) else leaf, out)
    return return_and_correct_aliasing(function, args, kwargs, wrapped) if here else wrapped


def _inner(leaf: Any) -> Any:
    return leaf.inner if isinstance(leaf, OnDevice) else leaf


class _Factories(TorchDispatchMode):
    """Creates tensors on the device: `torch.zeros(..., device=DEVICE)` and `tensor.to(DEVICE)`."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


@pytest.fixture
def second_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Trials of this test use the device, whatever their setting."""
    seeded, fused = flat_parameters._seeded, optimizer._get_fused_kernels_supported_devices

    def on_the_cpu(*args: Any) -> Any:
        with _disable_current_modes():  # torch itself uses `meta` to make layers without initialising them
            return seeded(*args)

    monkeypatch.setattr(flat_parameters, "_seeded", on_the_cpu)
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: [*fused(), DEVICE.type])
    monkeypatch.setattr(environments, "device_of", lambda setting: DEVICE)
    monkeypatch.setattr(build, "_eager", lambda request, graph=None: program.eager(request.fn))  # mapped by vmap
    with _Factories():
        yield DEVICE
