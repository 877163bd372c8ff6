"""Inductor compiler, run in a process of its own (`turn.py`)."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.queues import SimpleQueue
from typing import Any

import torch
import torch._inductor.compile_fx  # before the fork: seconds that each program would spend again
import torch.export

from tuneexp.learning.compile.in_place import InPlace
from tuneexp.learning.compile.inductor import build_in_parallel, leave_out_input_checks, trust_processor
from tuneexp.learning.compile.turn import end_with_parent

OPTIONS = {
    # The wrapper is the code between kernels: without optimisation a step of a rollout takes 1.6 times as long.
    "aot_inductor.compile_wrapper_opt_level": "O1",
    "aot_inductor.enable_line_tables": False,
    # Compiling the headers takes as long as four programs, and a program is compiled with them hardly faster.
    "aot_inductor.precompile_headers": False,
}
# Intermediate results are parts of one allocation: an update of PPO takes 4 % less time.
TOGETHER = {"memory_planning": True}
TOGETHER_MB = 128
"""Sum of the results of all operations, of which few are in memory at once, up to which they share an allocation.
A larger one would be returned to the system after each call."""


def compile_package(graph_file: str, package: str) -> None:
    """Compile a graph from `torch.save`. The package is renamed into place: it is complete or absent."""
    graph, example = torch.load(graph_file, weights_only=False)  # of the parent process
    with torch.no_grad():
        if isinstance(graph, InPlace):
            exported = graph.exported(example)
        else:
            exported = torch.export.export(graph, tuple(example))
    unfinished = graph_file.replace("-graph.pt", "-package.pt2")
    torch._inductor.aoti_compile_and_package(
        exported, package_path=unfinished, inductor_configs=_options(exported, isinstance(graph, InPlace))
    )
    with open(unfinished, "rb") as file:
        os.fsync(file.fileno())  # a power cut must not leave an empty program in the cache for good
    os.replace(unfinished, package)


def _options(exported: torch.export.ExportedProgram, in_place: bool) -> dict[str, Any]:
    """Return the compiler's options.

    Results of a program that is not in place are kept for long, as actions are for a fragment. With one allocation each
    would keep a gap of its size between them."""
    made = [node.meta["val"] for node in exported.graph.nodes if node.op == "call_function"]
    sizes = [one.numel() * one.element_size() for one in made if isinstance(one, torch.Tensor)]
    n_bytes = sum(size for size in sizes if isinstance(size, int))  # reading a dynamic size would make it a constant
    return {**OPTIONS, **(TOGETHER if in_place and n_bytes <= TOGETHER_MB * 2**20 else {})}


def _attempt(graph_file: str, package: str, reasons: SimpleQueue[str]) -> None:
    end_with_parent()
    try:
        compile_package(graph_file, package)
    except Exception as error:
        reasons.put(" ".join(f"{type(error).__name__}: {error}".split()))
        raise


def compile_all(files: Sequence[tuple[str, str]]) -> int:
    """Compile (graph, package) in parallel. Returns the number of failures; one reason is the last line on stderr."""
    torch.set_num_threads(1)
    leave_out_input_checks()
    build_in_parallel()
    if os.environ.get("TORCHINDUCTOR_VEC_ISA_OK") == "1":
        trust_processor()
    fork = multiprocessing.get_context("fork")
    reasons: SimpleQueue[str] = fork.SimpleQueue()
    children = [fork.Process(target=_attempt, args=(*pair, reasons)) for pair in files]
    for child in children:
        child.start()
    for child in children:
        child.join()
    failed = [child.exitcode for child in children if child.exitcode]
    if failed:
        killed = f"the compiler was ended by signal {-failed[0]}; is there enough memory?"
        print(killed if reasons.empty() else reasons.get(), file=sys.stderr)  # noqa: T201
    return len(failed)
