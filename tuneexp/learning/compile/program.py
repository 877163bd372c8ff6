"""Programs: functions of a flat list of tensors, built once for their shapes.

A program is traced into one graph of tensor operations by `make_fx`, which traces through `vmap` and autograd. The
graph is compiled ahead of time (Inductor, in another process, cached on disk) or run eagerly. The compiled form is a
shared library, which loads in milliseconds and checks no guards per call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.learning.compile.cache import CannotCompile, Stored, cache_used, is_cached, package_of, processor, remember
from tuneexp.learning.compile.compilation import Counter, Graph, last_line, start_compilation
from tuneexp.learning.compile.in_place import InPlace
from tuneexp.learning.compile.rewrites import version

TensorFn = Callable[[Sequence[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Program:
    """A built function.

    run: tensors -> tensors; compiled: by Inductor; captured: as a CUDA graph; in_place: it is an `InPlace` module;
    key: of a compiled one in the cache."""

    run: TensorFn
    compiled: bool
    captured: bool = False
    in_place: bool = False
    key: str = ""


def trace(fn: TensorFn, example: Sequence[Tensor]) -> fx.GraphModule:
    """Return the graph of `fn` for the shapes of `example`.

    Tracing uses fake tensors: a loss that reads a value (`.item()`, `if tensor:`) fails here instead of becoming a
    constant of the graph."""
    Counter.traced += 1
    graph = make_fx(lambda *tensors: fn(list(tensors)), tracing_mode="fake")(*example)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def eager(fn: TensorFn) -> Program:
    """Return the function as a program that is neither traced nor compiled."""
    return Program(run=fn, compiled=False)


def traced_eager(graph: fx.GraphModule) -> Program:
    """Return a program that runs the graph operation by operation, without `vmap` and autograd per call."""

    def run(tensors: Sequence[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            return list(graph(*tensors))

    return Program(run=run, compiled=False)


def key_of(graph: Graph, example: Sequence[Tensor]) -> str:
    """Return the hash of all that compiled code depends on: operations, shapes, constants, torch, processor."""
    digest = hashlib.sha256(version())
    parts: list[str] = [graph.code, torch.__version__, torch.backends.cpu.get_cpu_capability(), processor()]
    parts += [f"{tuple(t.shape)}{t.stride()}{t.dtype}{t.device}" for t in example]
    for part in parts:
        digest.update(part.encode())
    for name, constant in sorted(graph.named_buffers()):
        digest.update(name.encode() + constant.numpy(force=True).tobytes())
    return digest.hexdigest()[:32]


def compile_graphs(
    graphs: Sequence[Graph], examples: Sequence[Sequence[Tensor]], recipe: str | None = None
) -> list[Program]:
    """Load programs from the cache and compile the missing ones.

    Args:
        graphs: traced.
        examples: inputs of each graph.
        recipe: of the set of programs, see `recipe.py`.

    Raises:
        CannotCompile: there is no compiler, compiling fails, or the cache can't be used.
    """
    stored = stored_form(graphs, examples)
    with cache_used():
        for _ in range(2):  # a damaged package is removed, and compiled again
            if all(is_cached(key) for key, _ in stored):
                remember(recipe, stored)
            else:
                start_compilation(graphs, examples, stored, recipe).finish()
            with suppress(CannotCompile):
                return load_programs(stored)
        return load_programs(stored)


def stored_form(graphs: Sequence[Graph], examples: Sequence[Sequence[Tensor]]) -> Stored:
    """Return the keys of programs, and which of them work in place."""
    return [(key_of(graph, e), isinstance(graph, InPlace)) for graph, e in zip(graphs, examples, strict=True)]


def load_programs(stored: Stored) -> list[Program]:
    """Load compiled programs. Raises CannotCompile if one is missing or damaged; a damaged one is removed."""
    return [replace(_load(package_of(key)), in_place=in_place, key=key) for key, in_place in stored]


def _load(package: Path) -> Program:
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(package), "model", True, 1, -1)
    except RuntimeError as error:
        package.unlink(missing_ok=True)  # damaged: the next start compiles it again
        raise CannotCompile(f"the stored program could not be loaded: {last_line(str(error))}") from None
    return Program(run=loader.run, compiled=True)  # type: ignore[arg-type]  # it takes lists
