"""Temporary folders and logs: private to their user, and removed in the end."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tuneexp.files import checkpoint, temporary
from tuneexp.files.locks import locked
from tuneexp.files.temporary import LOGS_KEPT_S, RAY_PREFIX, new_log, remove_old_logs, temporary_folder


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary._remove_dead_once.cache_clear()
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_goes_at_the_next_start_and_nothing_of_a_living_one(base: Path) -> None:
    killed = "import os, tuneexp.files.temporary as t\nwith t.temporary_folder(): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed], check=False)
    (left,) = names(base)
    alive = base / f"{left}-alive"
    alive.mkdir()
    with locked(alive / "lock"), temporary_folder() as folder:
        assert left not in names(base)
        assert folder.is_dir()
    assert names(base) == [alive.name]


def test_no_other_user_can_read_a_checkpoint_on_its_way(base: Path) -> None:
    with temporary_folder() as folder:
        checkpoint.write(folder, {"a": 1})
        assert names(folder) == [checkpoint.STATE_FILE, checkpoint.TENSOR_FILE]
        (above,) = base.iterdir()
        assert stat.S_IMODE(above.stat().st_mode) == 0o700
    assert names(base) == []


def test_a_process_of_our_ray_has_its_folders_in_that_ray_s(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_ray = base / f"{RAY_PREFIX}1"
    of_ray.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(of_ray))
    with temporary_folder() as folder:
        assert folder.is_relative_to(of_ray)
    monkeypatch.setenv("RAY_TMPDIR", str(base / "elsewhere" / of_ray.name))
    with temporary_folder() as folder:
        assert folder.parent.parent == base


def test_logs_go_after_a_day(base: Path) -> None:
    with new_log() as log, new_log() as old, (base / "mine.log").open("w") as mine:
        assert stat.S_IMODE(os.fstat(log.fileno()).st_mode) == 0o600
        for path in (old.name, mine.name):
            os.utime(path, (0, os.stat(path).st_mtime - LOGS_KEPT_S - 1))
    remove_old_logs()
    assert names(base) == sorted([Path(log.name).name, "mine.log"])
