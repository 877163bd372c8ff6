"""Runners of command lines: in the test process, or in a process of their own if streams matter."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.forked_command import ForkedCommand
from tests.faults.process_tree import kill_tree
from tuneexp.cli import run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def command(args: Sequence[str], folder: Path | None = None, timeout_s: float = 170, **environment: str) -> Done:
    """Run `python -m tuneexp ...` in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "tuneexp", *args],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    return Done(done.returncode, done.stdout, done.stderr)


def forked(args: Sequence[str], folder: Path, timeout_s: float = 170) -> Done:
    """Run `python -m tuneexp ...` in a process that is forked from one that has imported the libraries."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    settings = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "text": True, "start_new_session": True}
    with (
        contextlib.chdir(folder),
        ForkedCommand([sys.executable, "-m", "tuneexp", *args], **streams, **settings) as own,
    ):
        try:
            out, err = own.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            kill_tree(own.pid)
            raise
    return Done(own.returncode, out, err)


@pytest.fixture
def tuneexp(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run `tuneexp("train", "ppo", ...)` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> Done:
        code = run(args)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


def assert_refused(done: Done, says: str) -> None:
    """Check for exit code 2, one or two lines on standard error with the given text, no standard output and no
    traceback."""
    assert done.code == 2, done
    assert done.out == ""
    lines = done.err.strip().splitlines()
    assert 1 <= len(lines) <= 2, done.err
    assert says in done.err, done.err
    assert "Traceback" not in done.err
    assert "internal error" not in done.err
