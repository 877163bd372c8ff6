"""Build the programs of a trial: compile, capture or trace them, with a fallback to eager execution."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

from torch import Tensor
from torch.fx import GraphModule

from tuneexp.errors import UserError
from tuneexp.learning.compile import program
from tuneexp.learning.compile.cuda_graph import Record, captured, on_gpu
from tuneexp.learning.compile.in_place import Layout
from tuneexp.learning.compile.program import CannotCompile, Graph, Program, TensorFn
from tuneexp.learning.compile.stepping import StepLayout

log = logging.getLogger(__name__)

CompileMode = Literal["auto", "on", "off"]

# Measured on 2.6 GHz cores with 64x64 networks. A factor of two does not matter.
COMPILE_S = 12.0
TRACE_S = 0.5
SAVED_PER_UPDATE_S = 0.0006
SAVED_PER_SEED_UPDATE_S = 0.00045
SAVED_PER_ACT_S = 0.00025


@dataclass(frozen=True)
class Workload:
    """Expected number of calls of the programs of a trial.

    n_seeds: S. updates: gradient updates of a trial. acts: acting steps of a trial. trials: that share the programs."""

    n_seeds: int
    updates: int
    acts: int
    trials: int = 1

    def saved_s(self) -> float:
        """Return the seconds that compiled programs save over eager ones."""
        per_update = SAVED_PER_UPDATE_S + SAVED_PER_SEED_UPDATE_S * self.n_seeds
        return (self.updates * per_update + self.acts * SAVED_PER_ACT_S) * self.trials

    def repays_compiling(self) -> bool:
        """True if compiled programs save more than compiling takes."""
        return self.saved_s() > COMPILE_S

    def repays_tracing(self) -> bool:
        """True if compiled programs save more than tracing and loading take, about half a second."""
        return self.saved_s() > TRACE_S


@dataclass(frozen=True)
class InPlaceSpec:
    """Function to build an in-place program from. fn, example: of the traced function; layout: of its module."""

    fn: TensorFn
    example: Sequence[Tensor]
    layout: Layout | StepLayout


@dataclass(frozen=True)
class ProgramSpec:
    """Function to build a program from.

    Args:
        fn: the function.
        example: inputs of the right shapes.
        trace_when_eager: run the traced graph when eager. At one seed the function itself is faster.
        untraceable: runs instead of `fn` if `fn` can't be traced.
        in_place: compiled instead of `fn`.
    """

    fn: TensorFn
    example: Sequence[Tensor]
    trace_when_eager: bool = True
    untraceable: TensorFn | None = None
    in_place: InPlaceSpec | None = None

    def graph(self) -> tuple[Graph, Sequence[Tensor]]:
        """Return the graph to compile, and its example inputs."""
        if self.in_place is None:
            return program.trace(self.fn, self.example), self.example
        module = self.in_place.layout.around(program.trace(self.in_place.fn, self.in_place.example))
        return module, module.example(self.in_place.example)


def build_programs(specs: Sequence[ProgramSpec], mode: CompileMode, workload: Workload) -> list[Program]:
    """Return the programs, all compiled or all eager. On a GPU they are captured as CUDA graphs instead.

    Args:
        specs: functions and shapes.
        mode: `auto` compiles if the work repays it or the cache has the programs, and falls back to eager execution.
            `on` always compiles. `off` never does.
        workload: expected number of calls.

    Raises:
        UserError: `mode` is `on`, and a function can't be compiled.
    """
    if specs[0].example[0].device.type == "cuda":
        return [_eager(spec) if mode == "off" else _captured(spec, mode) for spec in specs]
    if mode == "off" or (mode == "auto" and not workload.repays_tracing()):
        return [_eager(spec) for spec in specs]
    graphs: Sequence[Graph] = []
    try:
        graphs, examples = zip(*[spec.graph() for spec in specs], strict=True)
        cached = all(program.is_cached(program.key_of(g, e)) for g, e in zip(graphs, examples, strict=True))
        if mode == "on" or cached or workload.repays_compiling():
            return program.compile_graphs(graphs, examples)
    except Exception as error:  # a loss that can't be traced is still a loss that can train
        if any(spec.in_place for spec in specs):
            programs = build_programs([replace(spec, in_place=None) for spec in specs], mode, workload)
            if all(one.compiled for one in programs):
                _warn_once(f"compiled in parts, which is slower: {' '.join(str(error).split())[:300]}")
            return programs
        _go_on_eagerly(mode, "compiled", str(error) if isinstance(error, CannotCompile) else _why_untraceable(error))
    return [_eager(*traced) for traced in zip_longest(specs, graphs)]


def _captured(spec: ProgramSpec, mode: CompileMode, record: Record = on_gpu) -> Program:
    try:
        return captured(program.trace(spec.fn, spec.example), spec.example, record)
    except Exception as error:
        _go_on_eagerly(mode, "captured as a CUDA graph", _why_untraceable(error))
        return _eager(spec)


def _go_on_eagerly(mode: CompileMode, what: str, reason: str) -> None:
    """Log the reason of eager execution. Raises `UserError` if `mode` is `on`."""
    if mode == "on":
        raise UserError(f"compile=on, but training can't be {what}: {reason}\nwrite compile=auto to train without it")
    _warn_once(f"not {what}, running eagerly: {reason}")


def _eager(spec: ProgramSpec, graph: Graph | None = None) -> Program:
    """Return an eager program. graph: the trace, if there is one already."""
    if not spec.trace_when_eager:
        return program.eager(spec.fn)
    try:
        return program.traced_eager(graph if isinstance(graph, GraphModule) else program.trace(spec.fn, spec.example))
    except Exception as error:
        _warn_once(f"running without a trace, which is slower: {_why_untraceable(error)}")
        return program.eager(spec.untraceable or spec.fn)


def _why_untraceable(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "DataDependent" in type(error).__name__ or ".item()" in text:
        return "a function of the algorithm reads a value (.item(), float() or `if tensor:`); keep it a tensor instead"
    return f"a function of the algorithm can't be traced: {type(error).__name__}: {text[:200]}"


_TOLD: set[str] = set()


def _warn_once(text: str) -> None:
    """Log a warning once per process: a worker builds programs for many trials."""
    if text not in _TOLD:
        _TOLD.add(text)
        log.warning(text)
