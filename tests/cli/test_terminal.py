"""Only results go to standard output, and only messages to standard error."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings

import pytest

from tuneexp.cli import terminal as terminal_module
from tuneexp.cli.terminal import terminal
from tuneexp.errors import TuneexpError

NOISY = """
import logging, os, subprocess, sys, warnings
from tuneexp.cli.terminal import terminal
from tuneexp.errors import TuneexpError, UserError

with terminal(json=True, verbose={verbose}) as screen:
    os.write(1, b"from C on 1\\n"); os.write(2, b"from C on 2\\n")
    subprocess.run(["echo", "from a subprocess"])
    logging.getLogger("ray.tune").error("from ray"); logging.getLogger("mlflow").warning("from mlflow")
    warnings.warn("from a library")
    logging.getLogger("tuneexp.learning").warning("training runs [eager]")
    print("from the environment")
    screen.note("trial [1] done")
    screen.result({{"nan": float("nan"), "value": 1}})
    {end}
print("after", flush=True)
"""


def noisy(verbose: bool = False, end: str = "pass") -> subprocess.CompletedProcess[str]:
    program = NOISY.format(verbose=verbose, end=end)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


def test_standard_output_is_exactly_one_json_object() -> None:
    out = noisy().stdout
    first, rest = out.splitlines()[0], out.splitlines()[1:]
    assert json.loads(first) == {"nan": None, "value": 1}
    assert rest == ["after"]


def test_only_what_is_for_people_reaches_standard_error() -> None:
    assert noisy().stderr.splitlines() == ["training runs [eager]", "from the environment", "trial [1] done"]


def test_verbose_lets_the_others_speak_and_keeps_standard_output_clean() -> None:
    done = noisy(verbose=True)
    assert len(done.stdout.splitlines()) == 2
    for words in ("from C on 1", "from C on 2", "from a subprocess", "from ray", "from mlflow", "from a library"):
        assert words in done.stderr


@pytest.mark.parametrize(("error", "kept"), [("TuneexpError('x')", True), ("UserError('x')", False)])
def test_what_others_wrote_is_kept_where_the_work_failed(error: str, kept: bool) -> None:
    stderr = noisy(end=f"raise {error}").stderr
    assert ("output of Ray and other libraries: " in stderr) == kept
    if kept:
        path = stderr.strip().splitlines()[-1].rpartition(": ")[2]
        with open(path) as file:
            assert "from C on 1" in file.read()
        os.unlink(path)


def test_a_line_that_tells_nothing_makes_no_log() -> None:
    error = TuneexpError("x")
    terminal_module._keep(io.BytesIO(b"I 1 2] Set ray log level from environment variable RAY_X to 3\n"), error)
    assert not hasattr(error, "__notes__")


def test_a_command_leaves_the_process_as_it_was() -> None:
    logger = logging.getLogger("ray")
    before = dict(os.environ), logger.level, list(warnings.filters), sys.stdout
    with terminal(json=True):
        assert logger.level == logging.CRITICAL
        assert os.environ["MLFLOW_LOGGING_LEVEL"] == "ERROR"
    assert (dict(os.environ), logger.level, list(warnings.filters), sys.stdout) == before


def test_without_descriptors_of_its_own_a_terminal_uses_the_streams_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with terminal(json=True) as screen:
        screen.note("for people")
        screen.result({"a": 1})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": 1}
    assert captured.err == "for people\n"
