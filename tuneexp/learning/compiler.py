"""The compiler: `python -m tuneexp.learning.compiler GRAPH PACKAGE [GRAPH PACKAGE ...]`, all of them side by side."""

from __future__ import annotations

import multiprocessing
import os
import sys

import torch
import torch._inductor.compile_fx  # before the fork: seconds that each program would spend again


def compile_package(graph_file: str, package: str) -> None:
    """Compile an exported graph; the package appears under its name whole or not at all."""
    program = torch.export.load(graph_file)
    unfinished = graph_file.replace("-graph.pt2", "-package.pt2")
    # The wrapper code is glue between kernels: optimising it costs seconds and gains nothing, nor do line numbers.
    options = {"aot_inductor.compile_wrapper_opt_level": "O0", "aot_inductor.enable_line_tables": False}
    torch._inductor.aoti_compile_and_package(program, package_path=unfinished, inductor_configs=options)
    os.replace(unfinished, package)


def main(*files: str) -> int:
    """The exit code: that of the first that failed, which has said why."""
    torch.set_num_threads(1)
    fork = multiprocessing.get_context("fork")
    pairs = list(zip(files[::2], files[1::2], strict=True))
    children = [fork.Process(target=compile_package, args=pair) for pair in pairs]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return next((child.exitcode for child in children if child.exitcode), 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
