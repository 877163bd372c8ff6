"""Private temporary folders: removed after use, or by a later process if their process was killed.

A process locks its folder, so that folders of dead processes can be recognised."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

from tuneexp.files.locks import LockError, LockHeld, locked

# The base folder may be shared by several machines, and locks may not work between them.
_MACHINE = f"{zlib.crc32(socket.gethostname().encode()) & 0xFFFF:04x}"
RAY_PREFIX = f"tx{_MACHINE}-"  # short: the paths of Ray's sockets have a limit
_PREFIX = f"tuneexp-{_MACHINE}-"
_LOCK = "lock"
LOGS_KEPT_S = 86400.0


@contextmanager
def temporary_folder(base: Path | None = None) -> Iterator[Path]:
    """Create an empty folder with mode 0700 in `base`, by default the folder for temporary files.

    In a process of a Ray that tuneexp has started, it is in Ray's session folder and is removed with it."""
    if base is None and (of_ray := _folder_of_ray()) is not None:
        base = of_ray
    else:
        base = Path(tempfile.gettempdir()) if base is None else base
        _remove_dead_once(base)
    with owned(lambda: Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))) as folder:
        inside = folder / "t"
        inside.mkdir(mode=0o700)
        yield inside


def _folder_of_ray() -> Path | None:
    """Return the session folder of a Ray that tuneexp has started; None without it, or if TMPDIR is on another disk."""
    folder = Path(os.environ.get("RAY_TMPDIR", ""))
    is_it = folder.name.startswith(RAY_PREFIX) and folder.parent == Path(tempfile.gettempdir()) and folder.is_dir()
    return folder if is_it else None


@contextmanager
def owned(make: Callable[[], Path]) -> Iterator[Path]:
    """Create a folder with `make` and a lock file in it, and remove it at the end."""
    with ExitStack() as held:
        folder = make()
        while not _locked(folder, held):
            folder = make()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path, held: ExitStack) -> bool:
    """Lock a new folder. Returns False if another process removed it just before."""
    try:
        held.enter_context(locked(folder / _LOCK))
    except LockError:  # a file system without locks, or a full one: only this process removes the folder
        return folder.exists()
    return (folder / _LOCK).exists()


def remove_dead(base: Path) -> None:
    """Remove the folders of this user and machine whose process was killed."""
    for folder in (*base.glob(f"{RAY_PREFIX}*"), *base.glob(f"{_PREFIX}*")):
        with suppress(OSError, LockError, LockHeld):
            if folder.lstat().st_uid == os.geteuid() and folder.is_dir() and not folder.is_symlink():
                with locked(folder / _LOCK, wait=False):
                    shutil.rmtree(folder, ignore_errors=True)


@cache
def _remove_dead_once(base: Path) -> None:
    remove_dead(base)


def new_log() -> IO[bytes]:
    """Create a log file with mode 0600 that is kept for the user."""
    return tempfile.NamedTemporaryFile(prefix="tuneexp-", suffix=".log", delete=False)


def remove_old_logs() -> None:
    """Remove the logs of this user that are older than `LOGS_KEPT_S`."""
    for path in Path(tempfile.gettempdir()).glob("tuneexp-*.log"):
        with suppress(OSError):
            found = path.lstat()
            old = time.time() - found.st_mtime > LOGS_KEPT_S
            if old and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                path.unlink()
