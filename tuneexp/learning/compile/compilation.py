"""Compilation of graphs in a process of its own: a worker that used the compiler once would keep some 300 MB of it."""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor, fx

from tuneexp.files.temporary import temporary_folder
from tuneexp.learning.compile.cache import CannotCompile, Stored, cache_folder, lock_of, package_of
from tuneexp.learning.compile.in_place import InPlace
from tuneexp.learning.compile.rewrites import rewritten
from tuneexp.processes import SAFE_PATH, python_command

log = logging.getLogger(__name__)

Graph = fx.GraphModule | InPlace

COMPILE_TIMEOUT_S = 600.0
# Inductor probes the instruction sets of the CPU by compiling a file for each, a quarter of a first compilation. With
# this it takes the ones that the CPU reports.
UNPROBED = {"TORCHINDUCTOR_VEC_ISA_OK": "1"}


class Counter:
    """Number of programs that this process traced and compiled, for tests."""

    traced = 0
    compiled = 0


class Compilation:
    """Compilation of a set of programs under way. Another process that compiles the same set is waited for.

    Args:
        graphs: traced.
        examples: inputs of each graph.
        stored: keys of the programs.
        recipe: of the set.
    """

    def __init__(
        self, graphs: Sequence[Graph], examples: Sequence[Sequence[Tensor]], stored: Stored, recipe: str | None
    ) -> None:
        self._exit = ExitStack()
        # A warning: a script that does not configure logging shows the reason of its delay, too.
        log.warning("compiling %d program%s, once for this machine ...", len(stored), "s" if len(stored) > 1 else "")
        self._folder = self._exit.enter_context(temporary_folder(cache_folder()))
        files = []
        for graph, example, (key, _) in zip(graphs, examples, stored, strict=True):
            source = self._folder / f"{key}-graph.pt"
            torch.save((rewritten(graph), list(example)), source)
            files += [str(source), str(package_of(key))]
        listed = {} if recipe is None else {str(cache_folder() / f"{recipe}.json"): stored}
        self._command = compiler_command(lock_of(stored, recipe), files, listed)
        self._unprobed, self._deadline_s = True, time.monotonic() + COMPILE_TIMEOUT_S
        self._start()

    def _start(self) -> None:
        defaults = UNPROBED if self._unprobed else {}
        with (self._folder / "errors").open("w") as errors, (self._folder / "output").open("w") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                env={**defaults, **os.environ, **SAFE_PATH, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def is_over(self) -> bool:
        """Return True if `finish` returns at once."""
        if time.monotonic() > self._deadline_s:
            return True
        return self._process.poll() is not None and not self._tried_again()

    def _tried_again(self) -> bool:
        """Compile again with the instruction sets that the C++ compiler accepts: it may be older than the CPU."""
        if not self._process.returncode or not self._unprobed or "CppCompileError" not in self._reason():
            return False
        self._unprobed = False
        self._start()
        return True

    def _reason(self) -> str:
        if self._process.returncode < 0:
            return f"the compiler was ended by signal {-self._process.returncode}; is there enough memory?"
        return last_line((self._folder / "errors").read_text(errors="replace"))

    def finish(self) -> None:
        """Wait for the end. Raises CannotCompile."""
        try:
            while not self.is_over():
                self._process.wait(max(0.0, self._deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        try:
            if self._process.poll() is None:
                raise CannotCompile(f"the compiler took longer than {COMPILE_TIMEOUT_S:.0f} s")
            if self._process.returncode:
                raise CannotCompile(self._reason())
            Counter.compiled += int(last_line((self._folder / "output").read_text()))
        finally:
            self.close()

    def close(self) -> None:
        """End the process, and with it what it started."""
        _UNDER_WAY.pop(self, None)
        self._process.kill()
        self._process.wait()
        self._exit.close()


_UNDER_WAY: dict[Compilation, None] = {}


@atexit.register
def _end_all() -> None:
    for compilation in list(_UNDER_WAY):
        compilation.close()


def start_compilation(
    graphs: Sequence[Graph], examples: Sequence[Sequence[Tensor]], stored: Stored, recipe: str | None
) -> Compilation:
    """Start to compile a set of programs. Raises CannotCompile if there is no compiler; OSError."""
    compiler()
    compilation = Compilation(graphs, examples, stored, recipe)
    _UNDER_WAY[compilation] = None
    return compilation


def compiler() -> str:
    """Return the C++ compiler that Inductor uses. Raises CannotCompile if it is missing."""
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        raise CannotCompile(f"there is no C++ compiler {name!r}; install one, or name it in CXX")
    return name


def compiler_command(lock: Path, files: Sequence[str], listed: Mapping[str, Stored]) -> list[str]:
    """Return the command that compiles files in parallel.

    Args:
        lock: held meanwhile.
        files: GRAPH PACKAGE [GRAPH PACKAGE ...].
        listed: content of files that are written at the end.
    """
    code = "from tuneexp.learning.compile.turn import main; sys.exit(main(*sys.argv[1:]))"
    return [*python_command(code), str(lock), json.dumps(listed), *files]


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
