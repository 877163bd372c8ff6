"""Private temporary folder and token of a Ray that starts on this machine.

Imports no Ray: a sweep calls it before Ray is imported."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuneexp.errors import UserError
from tuneexp.files.temporary import RAY_PREFIX, owned, remove_dead

# Ray's longest path is that of a socket, whose length the kernel limits. Process ids have up to 7 digits.
_LONGEST = f"{RAY_PREFIX}12345678/r/session_2026-01-01_00-00-00_123456_1234567/sockets/plasma_store"
_SOCKET_LIMIT = 103 if sys.platform == "darwin" else 107


@contextmanager
def private_surroundings() -> Iterator[Path]:
    """Context with a folder for Ray's `_temp_dir`, and with the environment variables that Ray's processes inherit.

    The parent folder has mode 0700, because Ray's own folders are writable for all users. It is removed at the end.

    Raises:
        UserError: no folder has a path that is short enough, or none is writable.
    """
    with _private_folder() as folder, _environment(folder):
        yield folder / "r"


@contextmanager
def variables_restored() -> Iterator[None]:
    """Restore the environment variables that a start of Ray writes, so that another Ray can start afterwards."""
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
    """Set the folder of Ray's lock files, RAY_TMPDIR, and a new token.

    With a token in the environment Ray stores none in the home folder. A token of the user stays."""
    with variables_restored():
        os.environ["RAY_TMPDIR"] = str(folder)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        _forget_token()
        yield


def _forget_token() -> None:
    if "ray" in sys.modules:  # otherwise Ray has read none
        from tuneexp.ray_support.patches import forget_token

        forget_token()


@contextmanager
def _private_folder() -> Iterator[Path]:
    bases = _bases()
    for base in bases:
        remove_dead(base)
    with owned(lambda: _new_folder(bases)) as folder:
        yield folder


def _bases() -> list[Path]:
    asked = os.environ.get("RAY_TMPDIR")
    if not asked:
        return list(dict.fromkeys(Path(base) for base in (tempfile.gettempdir(), "/tmp", "/var/tmp")))
    base = Path(asked).absolute()
    return [base.parent if base.name.startswith(RAY_PREFIX) else base]  # a program that a sweep started starts a Ray


def _new_folder(bases: list[Path]) -> Path:
    problems = []
    for base in bases:
        longest = len(os.fsencode(base / _LONGEST))
        if longest > _SOCKET_LIMIT:
            problems.append(f"{base} is {longest - _SOCKET_LIMIT} characters too long")
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=RAY_PREFIX, dir=base))
        except OSError as error:
            problems.append(f"{base}: {error.strerror}")
    raise UserError(
        f"Ray has no temporary folder ({'; '.join(problems)}); set RAY_TMPDIR to a folder on a local disk with a path "
        f"of at most {_SOCKET_LIMIT - len(_LONGEST) - 1} characters"
    )
