"""Inductor compiler, run in a process of its own (`program.compiler_command`)."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from multiprocessing.queues import SimpleQueue

import torch
import torch._inductor.compile_fx  # before the fork: seconds that each program would spend again

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def compile_package(graph_file: str, package: str) -> None:
    """Compile an exported graph. The package is renamed into place: it is complete or absent."""
    program = torch.export.load(graph_file)
    unfinished = graph_file.replace("-graph.pt2", "-package.pt2")
    # The wrapper code is glue between kernels: optimising it costs seconds and gains nothing, nor do line numbers.
    options = {"aot_inductor.compile_wrapper_opt_level": "O0", "aot_inductor.enable_line_tables": False}
    torch._inductor.aoti_compile_and_package(program, package_path=unfinished, inductor_configs=options)
    with open(unfinished, "rb") as file:
        os.fsync(file.fileno())  # a power cut must not leave an empty program in the cache for good
    os.replace(unfinished, package)


def _attempt(graph_file: str, package: str, reasons: SimpleQueue[str]) -> None:
    _end_with_parent()
    try:
        compile_package(graph_file, package)
    except Exception as error:
        reasons.put(" ".join(f"{type(error).__name__}: {error}".split()))
        raise


def _end_with_parent() -> None:
    """Kill this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(*files: str) -> int:
    """Compile graphs in parallel.

    Args:
        files: GRAPH PACKAGE [GRAPH PACKAGE ...].

    Returns:
        The exit code. The last line on standard error is the reason of a failure.
    """
    _end_with_parent()
    torch.set_num_threads(1)
    fork = multiprocessing.get_context("fork")
    reasons: SimpleQueue[str] = fork.SimpleQueue()
    pairs = zip(files[::2], files[1::2], strict=True)
    children = [fork.Process(target=_attempt, args=(*pair, reasons)) for pair in pairs]
    for child in children:
        child.start()
    for child in children:
        child.join()
    failed = [child.exitcode for child in children if child.exitcode]
    if failed:
        killed = f"the compiler was ended by signal {-failed[0]}; is there enough memory?"
        print(killed if reasons.empty() else reasons.get(), file=sys.stderr)  # noqa: T201
    return len(failed)
