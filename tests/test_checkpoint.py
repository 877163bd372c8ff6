"""Checkpoints: a folder that is whole or isn't there, and loads without unpickling."""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tuneexp import checkpoint
from tuneexp.errors import CheckpointError

TREE: dict[str, Any] = {
    "name": "a trial",
    "numbers": [1, 2.5, -3, 2**100, True, None],
    "not_finite": {"nan": float("nan"), "inf": float("inf"), "minus": float("-inf")},
    "tensors": {"float": torch.randn(3, 4), "int": torch.arange(5), "bool": torch.tensor([True, False]), "scalar": torch.tensor(3.0)},
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
    with pytest.raises(TypeError):
        checkpoint.write(written, {"name": object()})
    assert checkpoint.read(written)["name"] == "a trial"
    assert [path.name for path in written.parent.iterdir()] == ["one"]


def write_and_die(target: Path, moment: int) -> int:
    """Write in a child that is killed at its n-th step that the file system can see. Returns its exit status."""
    child = os.fork()
    if child == 0:
        counted = 0

        def die(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal counted
            if event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "ctypes.dlsym", "shutil.rmtree") or (
                event == "open" and str(target.parent) in str(arguments[0])
            ):
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
    """Written over an older one: afterwards there is the old or the new one, and never half of one."""
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


def damaged(folder: Path, how: str) -> None:
    state, tensors = folder / checkpoint.STATE_FILE, folder / checkpoint.TENSOR_FILE
    if how == "truncated tensors":
        tensors.write_bytes(tensors.read_bytes()[:-50])
    elif how == "no tensors":
        tensors.unlink()
    elif how == "other tensors":
        from safetensors.torch import save_file

        save_file({"other": torch.ones(2)}, tensors)
    elif how == "truncated json":
        state.write_text(state.read_text()[:-50])
    elif how == "not json":
        state.write_bytes(b"\x80\x04\x95\x00\xff")
    elif how == "json of something else":
        state.write_text("[1, 2]")
    elif how == "no version":
        state.write_text(json.dumps({"name": "x"}))
    elif how == "newer":
        state.write_text(json.dumps({**json.loads(state.read_text()), "format_version": 99}))
    elif how == "no json":
        state.unlink()
    elif how == "no folder":
        state.unlink()
        tensors.unlink()
        folder.rmdir()
    elif how == "a file":
        damaged(folder, "no folder")
        folder.write_text("x")


WAYS = {
    "truncated tensors": "damaged", "no tensors": "damaged", "other tensors": "damaged", "truncated json": "damaged",
    "not json": "damaged", "json of something else": "damaged", "no version": "damaged", "newer": "format 99",
    "no json": "no checkpoint", "no folder": "no checkpoint", "a file": "no checkpoint",
}  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
def test_what_can_not_be_read_is_told_in_two_lines(how: str, written: Path) -> None:
    damaged(written, how)
    before = {path: path.read_bytes() for path in written.parent.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=WAYS[how]) as caught:
        checkpoint.read(written)
    assert len(str(caught.value).splitlines()) <= 2
    assert caught.value.exit_code == 2
    assert {path: path.read_bytes() for path in written.parent.rglob("*") if path.is_file()} == before


def test_a_checkpoint_can_be_read_by_others_of_the_machine(written: Path) -> None:
    """A temporary folder is private; a checkpoint follows the umask, as any folder does."""
    mask = os.umask(0)
    os.umask(mask)
    assert written.stat().st_mode & 0o777 == 0o777 & ~mask
