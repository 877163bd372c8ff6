"""Changes of Inductor that shorten a compilation, for the process of the compiler. The programs stay the same."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

from torch._inductor.codegen.cpp_wrapper_cpu import CppWrapperCpu
from torch._inductor.cpp_builder import CppBuilder
from torch._inductor.cpu_vec_isa import VecISA
from torch._inductor.virtualized import V


def trust_processor() -> None:
    """Let Inductor use the instruction sets that the processor reports, without compiling a file for each.

    Its own setting does this for the basic sets only, not for their extensions (VNNI, BF16, AMX)."""
    setattr(VecISA, "check_build", lambda self, code: True)  # noqa: B010


def leave_out_input_checks() -> None:
    """Leave out the checks of inputs, which run only with `AOTI_RUNTIME_CHECK_INPUTS`.

    For an update of PPO they are two thirds of the wrapper, the code between the kernels, and a fifth of its time in
    g++."""
    write = CppWrapperCpu.generate_input_output_runtime_checks

    def without_inputs(self: CppWrapperCpu) -> None:
        with patch.object(V.graph, "graph_inputs", {}):
            write(self)

    setattr(CppWrapperCpu, "generate_input_output_runtime_checks", without_inputs)  # noqa: B010


def build_in_parallel() -> None:
    """Compile the kernels while the wrapper is compiled, not afterwards."""
    setattr(CppBuilder, "build", beside_the_next(CppBuilder.build, _is_wrapper))  # noqa: B010


def _is_wrapper(builder: CppBuilder) -> bool:
    return str(builder.get_target_file_path()).endswith(".wrapper.o")


def beside_the_next(build: Callable[[Any], None], is_first: Callable[[Any], bool]) -> Callable[[Any], None]:
    """Return `build`, which runs in a thread for those that `is_first`, and waits for them after the next one."""
    pool = ThreadPoolExecutor(1)
    under_way: list[Future[None]] = []

    def built(builder: Any) -> None:
        if is_first(builder):
            under_way.append(pool.submit(build, builder))
            return
        try:
            build(builder)
        finally:
            while under_way:
                under_way.pop().result()

    return built
