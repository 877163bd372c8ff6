"""Build the programs of a trial: compile, capture or trace them, with a fallback to eager execution."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

from torch import Tensor
from torch.fx import GraphModule

from tuneexp.errors import UserError
from tuneexp.learning.compile import program
from tuneexp.learning.compile.cache import Stored, cache_used, is_cached, is_under_way, remembered
from tuneexp.learning.compile.compilation import CannotCompile, Compilation, Graph, start_compilation
from tuneexp.learning.compile.cuda_graph import Record, captured, on_gpu
from tuneexp.learning.compile.in_place import Layout
from tuneexp.learning.compile.program import Program, TensorFn
from tuneexp.learning.compile.recipe import recipe_of
from tuneexp.learning.compile.stepping import StepLayout
from tuneexp.learning.compile.workload import Workload

log = logging.getLogger(__name__)

CompileMode = Literal["auto", "on", "off"]

POLL_S = 0.2


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


@dataclass(frozen=True)
class Built:
    """Programs, all compiled or all eager. pending: compiled ones are being made."""

    programs: list[Program]
    pending: Pending | None = None


def build_programs(specs: Sequence[ProgramSpec], mode: CompileMode, workload: Workload) -> list[Program]:
    """Return the programs, all compiled or all eager. On a GPU they are captured as CUDA graphs instead.

    Args:
        specs: functions and shapes. They were called once.
        mode: `auto` compiles if the work repays it or the cache has the programs, and falls back to eager execution.
            `on` always compiles. `off` never does.
        workload: expected number of calls.

    Raises:
        UserError: `mode` is `on`, and a function can't be compiled.
    """
    return built(specs, mode, workload, meanwhile=False).programs


def built(specs: Sequence[ProgramSpec], mode: CompileMode, workload: Workload, meanwhile: bool) -> Built:
    """As `build_programs`. meanwhile: with `auto`, return eager programs while others are compiled."""
    if specs[0].example[0].device.type == "cuda":
        return Built([_eager(spec) if mode == "off" else _captured(spec, mode) for spec in specs])
    if mode == "off" or (mode == "auto" and not workload.repays_tracing()):
        return Built([_eager(spec) for spec in specs])
    asked = Asked(specs, mode, workload, meanwhile and mode == "auto", recipe_of(specs))
    if programs := _remembered(asked.recipe):
        return Built(programs)
    if asked.compiles and is_under_way(asked.recipe):
        pending = Pending(asked)
        if asked.meanwhile:
            return Built([_eager(spec) for spec in specs], pending)
        pending.wait()
        if programs := _remembered(asked.recipe):
            return Built(programs)
    return _traced(asked)


@dataclass(frozen=True)
class Asked:
    """Arguments of `built`, and the recipe of the programs."""

    specs: Sequence[ProgramSpec]
    mode: CompileMode
    workload: Workload
    meanwhile: bool
    recipe: str | None

    @property
    def compiles(self) -> bool:
        return self.mode == "on" or self.workload.repays_compiling()

    def in_parts(self, error: Exception) -> Built:
        """Return programs without that of a whole update."""
        specs = [replace(spec, in_place=None) for spec in self.specs]
        found = built(specs, self.mode, self.workload, self.meanwhile)
        if all(one.compiled for one in found.programs):
            _warn_once(f"compiled in parts, which is slower: {' '.join(str(error).split())[:300]}")
        return found


def _traced(asked: Asked) -> Built:
    """Trace the programs, load or compile them, or return eager ones."""
    specs: Sequence[ProgramSpec] = asked.specs
    graphs: Sequence[Graph] = []
    try:
        graphs, examples = zip(*[spec.graph() for spec in specs], strict=True)
        stored = program.stored_form(graphs, examples)
        if all(is_cached(key) for key, _ in stored) or (asked.compiles and not asked.meanwhile):
            return Built(program.compile_graphs(graphs, examples, asked.recipe))
        if asked.compiles:
            with cache_used():
                pending = Pending(asked, start_compilation(graphs, examples, stored, asked.recipe), stored)
            return Built([_eager(*traced) for traced in zip(specs, graphs, strict=True)], pending)
    except Exception as error:  # a loss that can't be traced is still a loss that can train
        if any(spec.in_place for spec in specs):
            return asked.in_parts(error)
        reason = str(error) if isinstance(error, CannotCompile) else _why_untraceable(error)
        _go_on_eagerly(asked.mode, "compiled", reason)
    return Built([_eager(*traced) for traced in zip_longest(specs, graphs)])


def _remembered(recipe: str | None) -> list[Program] | None:
    stored = remembered(recipe)
    if stored is None:
        return None
    try:
        return program.load_programs(stored)
    except CannotCompile:  # a damaged package, which is gone now
        return None


@dataclass
class Pending:
    """Compiled programs in the making.

    Args:
        asked: what they are made for.
        compilation: of this process; None: another process compiles.
        stored: keys of the programs of `compilation`.
    """

    asked: Asked
    compilation: Compilation | None = None
    stored: Stored = ()
    _asked_s: float = 0.0
    _over: bool = False

    def is_over(self) -> bool:
        """Return True if `result` returns at once. Looks every `POLL_S` only."""
        now = time.monotonic()
        if not self._over and now - self._asked_s > POLL_S:
            self._asked_s = now
            others = self.compilation is None and is_under_way(self.asked.recipe)
            self._over = not others if self.compilation is None else self.compilation.is_over()
        return self._over

    def wait(self) -> None:
        while not self.is_over():
            time.sleep(POLL_S)

    def result(self) -> Built | None:
        """Return compiled programs or other pending ones; None: those of now stay, for a reason that is logged."""
        if self.compilation is None:
            return built(self.asked.specs, self.asked.mode, self.asked.workload, self.asked.meanwhile)
        try:
            self.compilation.finish()
            return Built(program.load_programs(self.stored))
        except CannotCompile as error:
            if any(spec.in_place for spec in self.asked.specs):
                return self.asked.in_parts(error)
            _go_on_eagerly(self.asked.mode, "compiled", str(error))
            return None


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
