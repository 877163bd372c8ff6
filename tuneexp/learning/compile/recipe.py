"""Recipe of a set of programs: the hash of all that their graphs are traced from.

With it a process finds compiled programs without tracing. It exists only for programs that are made of this library,
torch, numpy and gymnasium: their sources are known by version. A function of the user may call anything, so its graph
is traced, and the graph itself is the key."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
import logging
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import pydantic
import torch
from torch import Tensor, nn

from tuneexp.learning.compile.cache import processor, source_hash

log = logging.getLogger(__name__)

_KNOWN = (
    "tuneexp",
    "torch",
    "numpy",
    "gymnasium",
    "builtins",
    "collections",
    "functools",
    "typing",
    "math",
    "operator",
)
_PLAIN = (
    str,
    bytes,
    int,
    float,
    bool,
    complex,
    type(None),
    torch.dtype,
    torch.device,
    torch.Size,
    np.dtype,
    np.generic,
    enum.Enum,
)
# Of a program's function: filled by its calls, or read only in part.
_FILLED, _READ, _VALUES = "reads", "columns_read", "static"
_EXAMPLE = "example"  # inputs of a program, of which the graph has the shapes only


class _Unknown(Exception):
    """An object whose effect on a graph is not known."""


def recipe_of(specs: Sequence[Any]) -> str | None:
    """Return the recipe of programs, after their functions were called once; None: they have to be traced.

    specs: data that a graph is a function of, such as functions, networks, switches and the shapes of examples."""
    digest = hashlib.sha256()
    try:
        for part in (_versions(), *(part for spec in specs for part in _parts(spec))):
            digest.update(part if isinstance(part, bytes) else part.encode())
            digest.update(b"\0")
    except (_Unknown, RecursionError) as unknown:
        log.debug("no recipe: %s", unknown)
        return None
    return digest.hexdigest()[:32]


@functools.cache
def _versions() -> str:
    """Return the versions of all sources. This library is hashed: its version is the same between two commits."""
    libraries = (torch.__version__, np.__version__, gymnasium.__version__)
    capability = torch.backends.cpu.get_cpu_capability()
    return "\n".join([source_hash(), *libraries, capability, processor(), str(torch.get_default_dtype())])


def _parts(value: Any) -> Iterator[str | bytes]:
    """Yield texts that are equal only for values of which equal graphs are traced. Raises _Unknown."""
    if isinstance(value, _PLAIN):
        yield repr(value)
    elif isinstance(value, Tensor):
        yield _shape(value)
        yield value.numpy(force=True).tobytes()  # it may be a constant of the graph
    elif isinstance(value, np.ndarray):
        yield f"{value.shape}{value.dtype}"
        yield value.tobytes()
    elif isinstance(value, Mapping | set | frozenset | Sequence):
        yield from _parts_of_collection(value)
    else:
        yield from _parts_of_object(value)


def _parts_of_collection(value: Any) -> Iterator[str | bytes]:
    if isinstance(value, Mapping):
        yield f"{len(value)} by key"
        for key, item in value.items():
            yield from (*_parts(key), *_parts(item))
    elif isinstance(value, set | frozenset):
        yield f"set {sorted(map(repr, value))}"
        for item in value:
            if not isinstance(item, _PLAIN):
                raise _Unknown(repr(item))
    else:
        yield f"{_name(type(value))} of {len(value)}"
        for item in value:
            yield from _parts(item)


def _parts_of_object(value: Any) -> Iterator[str | bytes]:
    if isinstance(value, type | types.BuiltinFunctionType | types.BuiltinMethodType):
        yield _name(value)
    elif isinstance(value, types.FunctionType):
        yield from _parts_of_function(value)
    elif isinstance(value, types.MethodType):
        yield from (*_parts(value.__func__), *_parts(value.__self__))
    elif isinstance(value, functools.partial):
        yield from (*_parts(value.func), *_parts(value.args), *_parts(value.keywords))
    else:
        yield from _parts_of_data(value)


def _parts_of_data(value: Any) -> Iterator[str | bytes]:
    if isinstance(value, nn.Module):
        yield from _parts_of_module(value)
    elif isinstance(value, pydantic.BaseModel):
        yield from (_name(type(value)), *_parts(dict(value)))
    elif dataclasses.is_dataclass(value):
        yield _name(type(value))
        yield from _parts(_fields(value))
    elif isinstance(value, gymnasium.Space):
        yield _name(type(value))
        yield from _parts({name: item for name, item in vars(value).items() if name != "_np_random"})
    elif type(value).__module__.startswith("tuneexp.") and not _has_slots(type(value)):
        yield from (_name(type(value)), *_parts(vars(value)))
    else:
        raise _Unknown(repr(value))


def _has_slots(kind: type) -> bool:
    return any(getattr(base, "__slots__", ()) for base in kind.__mro__)


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}{tensor.stride()}{tensor.dtype}{tensor.device}"


def _fields(value: Any) -> dict[str, Any]:
    found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if _EXAMPLE in found:
        found[_EXAMPLE] = [_shape(tensor) for tensor in found[_EXAMPLE]]
    reads = found.pop(_FILLED, None)
    found.pop(_READ, None)
    if reads is not None and isinstance(found.get(_VALUES), Mapping):
        found[_VALUES] = {name: item for name, item in sorted(found[_VALUES].items()) if name in reads}
    return found


def _parts_of_function(value: types.FunctionType) -> Iterator[str | bytes]:
    yield f"{_name(value)}:{value.__code__.co_firstlineno}"
    yield from _parts([value.__defaults__, value.__kwdefaults__])
    yield from _parts([cell.cell_contents for cell in value.__closure__ or ()])


def _parts_of_module(value: nn.Module) -> Iterator[str | bytes]:
    own = {name: item for name, item in vars(value).items() if name not in _OF_ANY_MODULE}
    if any(item for name, item in vars(value).items() if name in _OF_ANY_MODULE and name.endswith("_hooks")):
        raise _Unknown(f"hooks of {_name(type(value))}")
    parameters = {name: None if one is None else _shape(one) for name, one in value._parameters.items()}
    yield from (_name(type(value)), *_parts([parameters, value._buffers, value._modules, own, value.training]))


_OF_ANY_MODULE = frozenset(vars(nn.Module()))


def _name(value: Any) -> str:
    """Return the name of a class or function of a library whose version is part of the recipe. Raises _Unknown."""
    module = inspect.getmodule(value)
    name = module.__name__ if module is not None else str(getattr(value, "__module__", ""))
    if name.partition(".")[0] not in _KNOWN:
        raise _Unknown(f"{name}:{value!r}")
    return f"{name}:{getattr(value, '__qualname__', value)}"
