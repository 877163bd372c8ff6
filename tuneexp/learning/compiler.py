"""The compiler child: `python -m tuneexp.learning.compiler GRAPH PACKAGE`."""

from __future__ import annotations

import os
import sys

import torch
import torch._inductor


def compile_package(graph_file: str, package: str) -> None:
    """Compile an exported graph; the package appears under its name whole or not at all."""
    program = torch.export.load(graph_file)
    unfinished = graph_file.replace("-graph.pt2", "-package.pt2")
    # The wrapper code is glue between kernels: optimising it costs seconds and gains nothing.
    options = {"aot_inductor.compile_wrapper_opt_level": "O0"}
    torch._inductor.aoti_compile_and_package(program, package_path=unfinished, inductor_configs=options)
    os.replace(unfinished, package)


def main(graph_file: str, package: str) -> None:
    torch.set_num_threads(1)
    compile_package(graph_file, package)


if __name__ == "__main__":
    main(*sys.argv[1:])
