"""The surroundings of a Ray that starts on this machine: a temporary folder that only this user can enter, and a token.

Imports no Ray: a sweep calls it before Ray is loaded."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tuneexp.errors import UserError
from tuneexp.locks import LockError, LockHeld, locked

# A folder that several machines share holds Rays of each of them, and not every lock reaches from one to the other.
_PREFIX = f"tx{zlib.crc32(socket.gethostname().encode()) & 0xFFFF:04x}-"
# Ray's longest path below it is a socket's, which the kernel limits. Process ids have up to 7 digits.
_LONGEST = f"{_PREFIX}12345678/r/session_2026-01-01_00-00-00_123456_1234567/sockets/plasma_store"
_SOCKET_LIMIT = 103 if sys.platform == "darwin" else 107
_LOCK = "lock"


@contextmanager
def private_surroundings() -> Iterator[Path]:
    """A folder for Ray's `_temp_dir`, removed at the end, and the environment variables that Ray's processes inherit.

    The folder above it has mode 0700, because Ray makes its own folders writable for everybody. UserError where no
    folder is short enough, or none can be written."""
    with _private_folder() as folder, _environment(folder):
        yield folder / "r"


@contextmanager
def variables_restored() -> Iterator[None]:
    """Undo at the end what Ray, or a start of it, writes into the environment, so that the next Ray can be another."""
    before = {name: os.environ.get(name) for name in ("RAY_TMPDIR", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE")}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _forget_token()


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """RAY_TMPDIR is where Ray's lock files go. A token in the environment, another one for each Ray, keeps Ray from
    storing one in the home folder; one that a person has set stays."""
    with variables_restored():
        os.environ["RAY_TMPDIR"] = str(folder)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        _forget_token()
        yield


def _forget_token() -> None:
    if "ray" in sys.modules:  # else it knows none yet
        from tuneexp.execution.remote.ray_patches import forget_token

        forget_token()


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Locked while this process lives, so that the next start can tell those of dead processes."""
    bases = _bases()
    for base in bases:
        _remove_dead(base)
    with ExitStack() as held:
        folder = _new_folder(bases)
        while not _taken(folder, held):
            folder = _new_folder(bases)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _taken(folder: Path, held: ExitStack) -> bool:
    """False where another start has removed the new folder as a dead one, just before it was locked."""
    with suppress(LockError):  # a file system without locks: nobody removes the folder but this process
        held.enter_context(locked(folder / _LOCK))
    return (folder / _LOCK).exists()


def _bases() -> list[Path]:
    asked = os.environ.get("RAY_TMPDIR")
    if not asked:
        return list(dict.fromkeys(Path(base) for base in (tempfile.gettempdir(), "/tmp", "/var/tmp")))
    base = Path(asked).absolute()
    return [base.parent if base.name.startswith(_PREFIX) else base]  # a program that a sweep started starts a Ray


def _new_folder(bases: list[Path]) -> Path:
    problems = []
    for base in bases:
        longest = len(os.fsencode(base / _LONGEST))
        if longest > _SOCKET_LIMIT:
            problems.append(f"{base} is {longest - _SOCKET_LIMIT} characters too long")
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        except OSError as error:
            problems.append(f"{base}: {error.strerror}")
    raise UserError(
        f"Ray has no temporary folder ({'; '.join(problems)}); set RAY_TMPDIR to a folder on a local disk with a path "
        f"of at most {_SOCKET_LIMIT - len(_LONGEST) - 1} characters"
    )


def _remove_dead(base: Path) -> None:
    """Folders of this user and machine whose process was killed."""
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError, LockError, LockHeld):
            if folder.lstat().st_uid == os.geteuid() and folder.is_dir() and not folder.is_symlink():
                with locked(folder / _LOCK, wait=False):
                    shutil.rmtree(folder, ignore_errors=True)
