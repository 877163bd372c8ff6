"""Programs: functions of a flat list of tensors, built once for their shapes.

A program is traced into one graph of tensor operations by `make_fx`, which traces through `vmap` and autograd. The
graph is compiled ahead of time (Inductor, in another process, cached on disk) or run eagerly. The compiled form is a
shared library, which loads in milliseconds and checks no guards per call.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from tuneexp.files.locks import LockError, locked
from tuneexp.files.temporary import temporary_folder
from tuneexp.learning.compile.in_place import InPlace
from tuneexp.learning.compile.rewrites import rewritten, version
from tuneexp.processes import SAFE_PATH, python_command

log = logging.getLogger(__name__)

TensorFn = Callable[[Sequence[Tensor]], list[Tensor]]
Graph = fx.GraphModule | InPlace

COMPILE_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Program:
    """A built function.

    run: tensors -> tensors; compiled: by Inductor; captured: as a CUDA graph; in_place: it is an `InPlace` module."""

    run: TensorFn
    compiled: bool
    captured: bool = False
    in_place: bool = False


class Counter:
    """Number of programs that this process traced and compiled, for tests."""

    traced = 0
    compiled = 0


class CannotCompile(Exception):
    """Reason of a program that can't be compiled, one line."""


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


def cache_folder() -> Path:
    """Return the folder of compiled programs, shared by all workers of a machine (`TUNEEXP_CACHE`)."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tuneexp"
    return Path(os.environ.get("TUNEEXP_CACHE", default)) / "programs"


def key_of(graph: Graph, example: Sequence[Tensor]) -> str:
    """Return the hash of all that compiled code depends on: operations, shapes, constants, torch, processor."""
    digest = hashlib.sha256(version())
    parts: list[str] = [graph.code, torch.__version__, _processor()]
    parts += [f"{tuple(t.shape)}{t.stride()}{t.dtype}{t.device}" for t in example]
    for part in parts:
        digest.update(part.encode())
    for name, constant in sorted(graph.named_buffers()):
        digest.update(name.encode() + constant.numpy(force=True).tobytes())
    return digest.hexdigest()[:32]


@functools.cache
def _processor() -> str:
    """Return model and instruction set. A cache may be shared by machines with different processors."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told = [line for line in lines if line.startswith(("model name", "flags", "CPU part", "Features"))]
    except OSError:
        told = [platform.processor()]
    return "\n".join([platform.machine(), torch.backends.cpu.get_cpu_capability(), *sorted(set(told))])


def is_cached(key: str) -> bool:
    return (cache_folder() / f"{key}.pt2").exists()


def compile_graphs(graphs: Sequence[Graph], examples: Sequence[Sequence[Tensor]]) -> list[Program]:
    """Load programs from the cache and compile the missing ones.

    Args:
        graphs: traced.
        examples: inputs of each graph.

    Raises:
        CannotCompile: there is no compiler, compiling fails, or the cache can't be used.
    """
    folder = cache_folder()
    keys = [key_of(graph, example) for graph, example in zip(graphs, examples, strict=True)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # One lock a set: workers that start together wait for the first one.
        with locked(folder / f"{keys[0]}.lock"):
            _compile_missing(graphs, examples, keys)
            try:
                return _loaded(folder, graphs, keys)
            except CannotCompile:  # a damaged package, which is gone now
                _compile_missing(graphs, examples, keys)
                return _loaded(folder, graphs, keys)
    except (OSError, LockError) as error:
        raise CannotCompile(f"the cache {folder} can't be used: {error}; name another in TUNEEXP_CACHE") from None


def _compile_missing(graphs: Sequence[Graph], examples: Sequence[Sequence[Tensor]], keys: Sequence[str]) -> None:
    missing = [index for index, key in enumerate(keys) if not is_cached(key)]
    if missing:
        compiler()
        _compile_elsewhere([graphs[i] for i in missing], [examples[i] for i in missing], [keys[i] for i in missing])


def compiler() -> str:
    """Return the C++ compiler that Inductor uses. Raises CannotCompile if it is missing."""
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        raise CannotCompile(f"there is no C++ compiler {name!r}; install one, or name it in CXX")
    return name


def _loaded(folder: Path, graphs: Sequence[Graph], keys: Sequence[str]) -> list[Program]:
    programs = [_load(folder / f"{key}.pt2") for key in keys]
    return [replace(one, in_place=isinstance(graph, InPlace)) for one, graph in zip(programs, graphs, strict=True)]


def _exported(graph: Graph, example: Sequence[Tensor]) -> torch.export.ExportedProgram:
    graph = rewritten(graph)
    return graph.exported(example) if isinstance(graph, InPlace) else torch.export.export(graph, tuple(example))


def _load(package: Path) -> Program:
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(package), "model", True, 1, -1)
    except RuntimeError as error:
        package.unlink(missing_ok=True)  # damaged: the next start compiles it again
        raise CannotCompile(f"the stored program could not be loaded: {_last_line(str(error))}") from None
    return Program(run=loader.run, compiled=True)  # type: ignore[arg-type]  # it takes lists


def _compile_elsewhere(graphs: Sequence[Graph], examples: Sequence[Sequence[Tensor]], keys: Sequence[str]) -> None:
    """Compile in another process: the compiler would add some 300 MB to each worker that used it once."""
    # A warning: a script that does not configure logging shows the reason of its delay, too.
    log.warning("compiling %d program%s, once for this machine ...", len(keys), "s" if len(keys) > 1 else "")
    with temporary_folder(cache_folder()) as work:
        files = []
        for graph, example, key in zip(graphs, examples, keys, strict=True):
            source = work / f"{key}-graph.pt2"
            torch.export.save(_exported(graph, example), source)
            files += [str(source), str(cache_folder() / f"{key}.pt2")]
        _run_compiler(files)
    Counter.compiled += len(keys)


def compiler_command(files: Sequence[str]) -> list[str]:
    """Return the command that compiles files in parallel. files: GRAPH PACKAGE [GRAPH PACKAGE ...]."""
    return [
        *python_command("from tuneexp.learning.compile.compiler import main; sys.exit(main(*sys.argv[1:]))"),
        *files,
    ]


# Inductor probes the instruction sets of the CPU by compiling a file for each, a quarter of a first compilation. With
# this it takes the ones that the CPU reports.
_UNPROBED = {"TORCHINDUCTOR_VEC_ISA_OK": "1"}


def _run_compiler(files: Sequence[str]) -> None:
    try:
        _compile(files, _UNPROBED)
    except CannotCompile as reason:
        if "CppCompileError" not in str(reason):
            raise
        _compile(files, {})  # the C++ compiler may be older than the CPU


def _compile(files: Sequence[str], defaults: Mapping[str, str]) -> None:
    """Run the compiler in a process of its own. defaults: of its environment variables."""
    child = subprocess.Popen(
        compiler_command(files),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**defaults, **os.environ, **SAFE_PATH, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        _, errors = child.communicate(timeout=COMPILE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise CannotCompile(f"the compiler took longer than {COMPILE_TIMEOUT_S:.0f} s") from None
    finally:
        child.kill()  # and with it what it started
        child.wait()
    if child.returncode:
        raise CannotCompile(_last_line(errors))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
