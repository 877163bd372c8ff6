"""File locks between processes, by `flock`. The kernel releases a lock when its process ends, also by a kill."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuneexp.errors import UserError

# Lock files never follow symlinks: in a folder that others can write, one could name any file of this user.
# O_NONBLOCK: opening a named pipe must not wait.
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}


class LockError(UserError):
    """A lock file that can't be used, or a file system without locks."""


class LockHeld(Exception):
    """Another process holds the lock. `holder`: what it wrote into the file, its process id."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock on `path`, which is created if missing. wait=False: raise `LockHeld` if another process has it."""
    handle = _opened_to_lock(path)
    try:
        if not _flock(handle, path, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB):
            raise LockHeld(os.pread(handle, 100, 0).decode(errors="replace").strip())
        _write_process_id(handle)
        yield
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Return True if a process holds the lock on `path`. Acquires and creates nothing; needs read permission only."""
    try:
        handle = _opened(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        return not _flock(handle, path, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(handle)


def _opened_to_lock(path: Path) -> int:
    try:
        return _opened(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        problem = error
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        try:
            return _opened(path, os.O_RDONLY)  # another user's file can be locked too
        except OSError:
            pass
    raise _unusable(path, problem)


def _opened(path: Path, access: int) -> int:
    handle = os.open(path, access | _FLAGS, 0o666)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "it is no plain file")


def _flock(handle: int, path: Path, operation: int) -> bool:
    """Return False if another process holds the lock. LockError if the file system has no locks."""
    try:
        fcntl.flock(handle, operation)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise LockError(
            f"this file system has no locks: {path} ({error.strerror}); choose a folder on a local disk\n"
            "(--storage FOLDER; with --checkpoints, checkpoints can be stored elsewhere)"
        ) from None
    return True


def _write_process_id(handle: int) -> None:
    """Write the process id into the lock file, for the message of `LockHeld`. Skipped if it can't be written."""
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    except OSError:
        return


def _unusable(path: Path, error: OSError) -> LockError:
    reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
    return LockError(f"the lock {path} can't be used: {reason}; remove it, or choose another folder")
