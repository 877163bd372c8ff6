"""Checks of commands on pages: they are accepted, and stop before any training; or their options exist."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.pages.blocks import ROOT

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
TARGETS |= set(re.search(r"^(bench-ppo .*?):", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split())  # type: ignore[index]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# Commands of other programs, which are read by people only.
OTHERS = {"tensorboard", "git", "cd", "source", "export", "curl", "ray", "mlflow"}
# They start a server, need a cluster, a GPU, an object store or a run of MLflow, or a sweep that is not the one of the
# test. Their options must exist.
ELSEWHERE = {"ui", "dashboard", "cuda", "..."} | {"wider.yaml", "--warm-start", "--address", "--time-budget", "--watch"}
ELSEWHERE |= {"schedule", "--schedule"}  # of a population
# They train or measure for minutes: their options must exist, and with TUNEEXP_PAGES=all they run to their end.
LONG = {"tune", "confirm", "--dry-run"}
SHORTER = {"30m": "5m", "20": "3"}
# Added to them: the sweep of the test has one completed trial, and no sweep in another folder has the name.
CHANGES_OF_LONG = {"confirm": ("--top", "1"), "sweep": ("--storage", "others")}
LONG_TOO = os.environ.get("TUNEEXP_PAGES") == "all"  # before fixtures unset it
# Added to commands, so that nothing is compiled.
CHANGES = dict.fromkeys(("train", "sweep"), ("--compile", "off"))
PLACE = re.compile(r"s3://|/mnt/|RUN_ID|models:/|runs:/")


@contextlib.contextmanager
def stopped_before_training() -> Iterator[None]:
    """Everything is read, checked and, for `train`, built; then training raises "begun"."""
    from tuneexp.errors import TuneexpError

    def begun(*args: Any, **kwargs: Any) -> None:
        raise TuneexpError("begun")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneexp.sweep.Sweep.run", begun)
        patch.setattr("tuneexp.trial.Trial.advance", begun)
        patch.setattr("tuneexp.sweep.cluster.capacity.RaySession", begun)
        patch.setenv("SDL_VIDEODRIVER", "dummy")  # windows, without a display
        yield


def check_command(words: Sequence[str]) -> None:
    """Run a command of tuneexp up to its training, or check that it exists."""
    program, *rest = words
    if program == "tuneexp":
        if ELSEWHERE & {*rest} or any(PLACE.search(word) for word in rest):
            parse(rest)
        elif LONG & {*rest}:
            parse(rest)
            if LONG_TOO:
                carry_out(rest)
        else:
            accept(rest)
    elif program == "make":
        assert {*rest} <= TARGETS
    elif (program, rest[0]) == ("python", "-m"):
        check_module(*rest[1:])
    elif (program, rest[0]) == ("pip", "install"):
        assert set(re.findall(r"\w+", rest[-1].partition("[")[2])) <= EXTRAS.keys()
    else:
        assert program in OTHERS, f"unknown program: {program}"


def accept(words: Sequence[str]) -> None:
    from tuneexp.cli import run

    words = [*words, *CHANGES.get(words[0], ())]
    if words[0] == "sweep" and "--storage" not in words:
        words += ["--storage", "others"]  # where no sweep has the name
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), stopped_before_training():
        code = run(words)
    assert code == 0 or (code == 1 and "tuneexp: begun" in said.getvalue()), said.getvalue()


def carry_out(words: Sequence[str]) -> None:
    """Run a command to its end in a process of its own, as people do, with smaller numbers than on the page."""
    words = [*(SHORTER.get(word, word) for word in words), *CHANGES_OF_LONG.get(words[0], ())]
    command = [sys.executable, "-m", "tuneexp", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def command_of(name: str) -> Any:
    from tuneexp.cli.app import app

    group: Any = typer.main.get_command(app)
    assert name in group.commands, f"no command {name}"
    return group.commands[name]


def parse(words: Sequence[str]) -> None:
    """Check that a command and its options exist."""
    name, *options = [word for word in words if word != "..."]
    command_of(name).make_context(name, options)


def check_options(words: Sequence[str]) -> None:
    """The same for a command whose arguments the text leaves out."""
    name, *rest = words
    if name.startswith("-"):
        return
    known = {option for one in command_of(name).params for option in one.opts} | {"--help"}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


def check_module(module: str, *words: str) -> None:
    """A program of this project: the module exists, and its source has the options."""
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    origin = Path(found.origin)
    sources = origin.parent.glob("*.py") if origin.name == "__init__.py" else [origin]
    text = "\n".join(path.read_text() for path in sources)
    options = {word for word in words if word.startswith("--")}
    assert not [option for option in options if f'"{option}"' not in text and option != "--set"]
