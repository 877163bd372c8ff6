"""File locks: held by living processes only; other files are refused."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tuneexp.errors import UserError
from tuneexp.files.locks import LockError, LockHeld, is_held, locked
from tuneexp.sweep.results import result_of
from tuneexp.sweep.storage.folder import sweep_folder
from tuneexp.sweep.sweep import Sweep

NOBODY = 65534


@contextmanager
def held_elsewhere(path: Path) -> Iterator[int]:
    """Hold the lock of `path` in another process. Yields its id."""
    program = (
        f"import sys; from tuneexp.files.locks import *\nwith locked(Path({str(path)!r})): print(flush=True); input()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"\n"
    yield process.pid
    process.kill()
    process.communicate()


def test_a_lock_is_seen_without_being_taken_and_goes_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    assert not path.exists()
    with held_elsewhere(path) as pid:
        assert is_held(path)
        with pytest.raises(LockHeld) as refusal, locked(path, wait=False):
            pass
        assert refusal.value.holder == str(pid)
    assert not is_held(path)  # killed
    with locked(path, wait=False):
        assert is_held(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("mode", [0o644, 0o444])
def test_the_lock_file_of_another_user_can_be_probed_and_locked(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "lock"
    path.touch()
    path.chmod(mode)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    program = f"""
import os
from tuneexp.files.locks import *
os.setuid({NOBODY})
assert not is_held(Path({str(path)!r}))
with locked(Path({str(path)!r}), wait=False): assert is_held(Path({str(path)!r}))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert path.read_bytes() == b""


def test_a_lock_file_that_is_a_symlink_is_refused_and_what_it_names_stays(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (tmp_path / "lock").symlink_to(mine)
    for use in (lambda: is_held(tmp_path / "lock"), lambda: locked(tmp_path / "lock").__enter__()):
        with pytest.raises(LockError, match="symbolic link"):
            use()
    assert mine.read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["a folder", "a named pipe"])
def test_a_lock_file_that_is_no_plain_file_is_refused(tmp_path: Path, make: object) -> None:
    make(tmp_path / "lock")  # type: ignore[operator]
    for use in (lambda: is_held(tmp_path / "lock"), lambda: locked(tmp_path / "lock").__enter__()):
        with pytest.raises(LockError, match="can't be used"):
            use()


def answer_with(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_nothing_counts_as_running(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(space={"gamma": {"uniform": [0.9, 0.99]}}, name="s", storage=tmp_path, trials=1, seeds=1)
    answer_with(code, monkeypatch)
    with pytest.raises(UserError, match=r"no locks.*\n.*--storage"):
        sweep.run()
    assert not sweep.folder.exists()
    with pytest.raises(UserError, match="no locks"):
        result_of(sweep.config, sweep.folder)


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES])
def test_only_a_held_lock_means_running(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sweep_folder("s", tmp_path)
    with folder.lock():
        pass
    answer_with(code, monkeypatch)
    assert is_held(folder.lock_file)
    with pytest.raises(UserError, match=f"process {os.getpid()}"), folder.lock():
        pass


def test_no_other_module_locks_files() -> None:
    package = Path(__file__).parents[2] / "tuneexp"
    names = re.compile(r"\bfcntl\b|\bflock\(|\blockf\(")
    assert [path.name for path in package.rglob("*.py") if names.search(path.read_text())] == ["locks.py"]
