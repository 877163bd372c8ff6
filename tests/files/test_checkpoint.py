"""Checkpoints: written atomically, and loaded without unpickling."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tuneexp.errors import CheckpointError, UserError
from tuneexp.files import checkpoint

TREE: dict[str, Any] = {
    "name": "a trial",
    "numbers": [1, 2.5, -3, 2**100, True, None],
    "not_finite": {"nan": float("nan"), "inf": float("inf"), "minus": float("-inf")},
    "tensors": {
        "float": torch.randn(3, 4),
        "int": torch.arange(5),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.0),
    },
    "arrays": {"double": np.linspace(0, 1, 7), "empty": np.zeros((0, 3)), "small": np.array([1, 2], np.uint8)},
    "random": torch.Generator().manual_seed(3).get_state(),
    "nested": [{"deep": [torch.ones(2), {"x": np.float64(0.1)}]}],
}


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return checkpoint.write(tmp_path / "one", TREE)


def test_what_is_read_is_what_was_written(written: Path) -> None:
    tree = checkpoint.read(written)
    assert tree.pop("format_version") == checkpoint.FORMAT_VERSION
    assert equal(tree, TREE)


def test_the_tensors_of_a_written_tree_are_copies(tmp_path: Path) -> None:
    live = torch.zeros(4)
    folder = checkpoint.write(tmp_path / "one", {"a": live, "view": live[1:], "same": live})
    live.fill_(1.0)
    assert checkpoint.read(folder)["view"].tolist() == [0.0, 0.0, 0.0]


def test_the_header_is_read_without_the_tensors(written: Path) -> None:
    (written / checkpoint.TENSOR_FILE).unlink()
    assert checkpoint.read_header(written)["name"] == "a trial"


def test_nothing_is_unpickled(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    checkpoint.read(written)
    assert sorted(path.name for path in written.iterdir()) == [checkpoint.STATE_FILE, checkpoint.TENSOR_FILE]
    for path in written.iterdir():
        assert not path.read_bytes().startswith((b"\x80", b"PK")), "neither a pickle nor torch's zip of one"


def test_writing_again_replaces_the_whole(written: Path) -> None:
    (written / "stray").write_text("of the first")
    checkpoint.write(written, {"name": "the second"})
    assert checkpoint.read(written)["name"] == "the second"
    assert [path.name for path in written.parent.iterdir()] == ["one"]


def test_a_failed_write_leaves_the_old_one(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="name"):
        checkpoint.write(written, {"name": object()})
    assert checkpoint.read(written)["name"] == "a trial"
    assert [path.name for path in written.parent.iterdir()] == ["one"]


EVENTS = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "ctypes.dlsym", "shutil.rmtree")


def write_and_die(target: Path, moment: int) -> int:
    """Write in a child process that is killed at its n-th file system operation. Returns its exit status."""
    child = os.fork()
    if child == 0:
        counted = 0

        def die(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal counted
            if event in EVENTS or (event == "open" and str(target.parent) in str(arguments[0])):
                counted += 1
                if counted == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        checkpoint.write(target, {"number": 2, "tensor": torch.full((1000,), 2.0)})
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("exchange", [True, False], ids=["", "where folders can't be exchanged"])
def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(
    exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older checkpoint is overwritten: afterwards there is the old one or the new one, complete."""
    if not exchange:
        monkeypatch.setattr(checkpoint, "_exchange", lambda one, other: False)
    found = []
    for moment in range(1, 40):
        target = tmp_path / str(moment) / "checkpoint"
        checkpoint.write(target, {"number": 1, "tensor": torch.full((1000,), 1.0)})
        status = write_and_die(target, moment)
        if not exchange and not target.exists():  # the one moment that two renames have between them
            target = next(target.parent.glob(".checkpoint-old-*/was"))
        tree = checkpoint.read(target)
        assert tree["tensor"].unique().tolist() == [tree["number"]], f"killed at moment {moment}"
        found.append(tree["number"])
        if status == 0:
            break
    assert status == 0
    assert found == sorted(found)
    assert set(found) == {1, 2}
    assert moment > 4


def _other_tensors(folder: Path) -> None:
    save_file({"other": torch.ones(2)}, folder / checkpoint.TENSOR_FILE)


def _rewrite(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes())) and None


def _as_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("x")


STATE, TENSORS = checkpoint.STATE_FILE, checkpoint.TENSOR_FILE
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated tensors": (_rewrite(TENSORS, lambda data: data[:-50]), "damaged"),
    "no tensors": (lambda folder: (folder / TENSORS).unlink(), "damaged"),
    "other tensors": (_other_tensors, "damaged"),
    "truncated json": (_rewrite(STATE, lambda data: data[:-50]), "damaged"),
    "not json": (_rewrite(STATE, lambda data: b"\x80\x04\x95\x00\xff"), "damaged"),
    "json of something else": (_rewrite(STATE, lambda data: b"[1, 2]"), "damaged"),
    "no version": (_rewrite(STATE, lambda data: b'{"name": "x"}'), "damaged"),
    "newer": (
        _rewrite(STATE, lambda data: json.dumps({**json.loads(data), "format_version": 99}).encode()),
        "format 99",
    ),
    "older": (
        _rewrite(STATE, lambda data: json.dumps({**json.loads(data), "format_version": 1}).encode()),
        "format 1;",
    ),
    "no json": (lambda folder: (folder / STATE).unlink(), "no checkpoint"),
    "no folder": (shutil.rmtree, "no checkpoint"),
    "a file": (_as_a_file, "no checkpoint"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_what_can_not_be_read_is_reported_in_two_lines(how: str, written: Path) -> None:
    damage, said = DAMAGE[how]
    damage(written)
    before = {path: path.read_bytes() for path in written.parent.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=said) as caught:
        checkpoint.read(written)
    assert len(str(caught.value).splitlines()) <= 2
    assert caught.value.exit_code == 2
    assert {path: path.read_bytes() for path in written.parent.rglob("*") if path.is_file()} == before


def test_a_checkpoint_can_be_read_by_others_of_the_machine(written: Path) -> None:
    """A temporary folder is private; a checkpoint follows the umask, as other folders do."""
    mask = os.umask(0)
    os.umask(mask)
    assert written.stat().st_mode & 0o777 == 0o777 & ~mask
