"""Each input of `bad_inputs` is refused in a few lines and leaves the stored files unchanged.

docs/robustness.md has their numbers."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
import typer

from tests.faults.bad_inputs import SEED, Case, all_cases
from tests.faults.stored import store_checkpoint, store_sweep
from tuneexp.cli import run
from tuneexp.errors import TuneexpError

PAGE = Path(__file__).parents[2] / "docs" / "robustness.md"
DAMAGED_FILES = ("checkpoints", "stored sweeps")
NEW = "new"  # what a command line that is accepted may write
Files = dict[Path, bytes | None]  # None: a folder


class Accepted(TuneexpError):
    """Raised if the input is accepted: the work would start now."""

    exit_code = 0


def accept(*args: object, **kwargs: object) -> NoReturn:
    raise Accepted("accepted")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stored")
    for name in ("kept", "other"):
        store_sweep(root / "runs", name)
    store_checkpoint(root / "checkpoint")
    (root / "space.yaml").write_text("learning_rate: {loguniform: [1.0e-4, 1.0e-2]}\n")
    return root


@pytest.fixture
def nothing_starts(untraced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace Ray, training and delivery to MLflow by an exception."""
    monkeypatch.setattr("tuneexp.sweep.cluster.capacity.RaySession", accept)
    monkeypatch.setattr("ray.init", accept)
    monkeypatch.setattr("typer.main.get_command", functools.cache(typer.main.get_command))  # a third of the time
    monkeypatch.setattr("tuneexp.tracking.delivery_process.finish_delivery", accept)
    monkeypatch.setattr("tuneexp.trial.trainable.AlgorithmTrainable.step", accept)


def answer(case: Case, root: Path) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([part.replace("ROOT", str(root)) for part in case.args])
    return Answer(code, out.getvalue(), err.getvalue())


def contents(root: Path) -> Files:
    """Each file with its bytes, and each link with its target. Lock files are left out."""
    files: Files = {}
    for path in root.rglob("*"):
        if path.is_symlink():
            files[path] = bytes(path.readlink())
        elif path.name != ".lock":
            files[path] = None if path.is_dir() else path.read_bytes()
    return files


def restore(root: Path, whole: Files) -> None:
    shutil.rmtree(root)
    root.mkdir()
    for path, data in whole.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if data is None else path.write_bytes(data)


def faults(case: Case, root: Path, whole: Files) -> list[str]:
    """Problems in the response to `case`. `root` is as in `whole` before and after."""
    if case.damage is not None:
        case.damage(root)
    before = whole if case.damage is None else contents(root)
    got = answer(case, root)
    after = contents(root)
    if after != whole:
        restore(root, whole)
    return list(faults_of(case, got, changed_files(before, after, got, root), root))


def faults_of(case: Case, got: Answer, changed: set[Path], root: Path) -> Iterator[str]:
    if "internal error" in got.err or "Traceback" in got.err + got.out:
        yield got.err
    if got.code not in (0, 1, 2):
        yield f"exit code {got.code}: {got.err}"
    if got.code == 2 and len(got.err.strip().splitlines()) > 8:
        yield f"many lines: {got.err}"
    if any(ord(character) < 32 and character != "\n" for character in got.err + got.out):
        yield f"control characters: {got.err!r} {got.out!r}"
    if case.area in DAMAGED_FILES and case.args[0] != "train" and got.code == 2 and str(root) not in got.err:
        yield f"names no file: {got.err}"
    if changed:
        yield f"changed: {', '.join(map(str, changed))}"


def changed_files(before: Files, after: Files, got: Answer, root: Path) -> set[Path]:
    """Files that differ, without those of a new sweep that was accepted."""
    differ = {path for path in before.keys() | after.keys() if before.get(path, b"-") != after.get(path, b"-")}
    accepted = got.code == 0
    return {path for path in differ if not (accepted and path.is_relative_to(root / NEW))}


@pytest.mark.timeout(1200)  # of a machine that is shared
def test_no_bad_input_ends_in_an_internal_error_or_changes_a_stored_file(
    stored: Path, tmp_path: Path, nothing_starts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = contents(stored)
    found: list[str] = []
    cases = all_cases(stored)
    for case in cases:
        if said := faults(case, stored, whole):
            found.append(f"{case.area}: {case.label}\n    {'; '.join(said)[:500]}")
    assert not found, f"{len(found)} of {len(cases)} inputs (seed {SEED}):\n" + "\n".join(found)
    assert counts_in(PAGE.read_text()) == Counter(case.area for case in cases)


def counts_in(page: str) -> dict[str, int]:
    """The table of the page: area -> number of inputs."""
    return {
        area: int(number.replace(",", "")) for area, number in re.findall(r"^\| ([\w\- ]+) \| ([\d,]+) \|", page, re.M)
    }
