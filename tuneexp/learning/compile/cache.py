"""Cache of compiled programs: a folder with a package for each program, shared by all workers of a machine.

A recipe is the hash of all that a set of programs is made from (`recipe.py`). A file named after it lists their
packages, so that a process with the same recipe loads them without tracing. Imports no torch."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tuneexp
from tuneexp.errors import TuneexpError
from tuneexp.files.atomic import write_atomically
from tuneexp.files.locks import LockError, is_held
from tuneexp.files.user_cache import user_cache

# Key of each program of a set, and whether it is an `InPlace` module.
Stored = Sequence[tuple[str, bool]]


class CannotCompile(Exception):
    """Reason of a program that can't be compiled, one line."""


def cache_folder() -> Path:
    """Return the folder of compiled programs."""
    return user_cache() / "programs"


@contextmanager
def cache_used() -> Iterator[None]:
    """Create the cache. Raises CannotCompile if it can't be used in this context."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, LockError) as error:
        raise CannotCompile(f"the cache {folder} can't be used: {error}; name another in TUNEEXP_CACHE") from None


def package_of(key: str) -> Path:
    return cache_folder() / f"{key}.pt2"


def is_cached(key: str) -> bool:
    return package_of(key).exists()


def lock_of(stored: Stored, recipe: str | None) -> Path:
    """Return the lock that a process holds while it compiles a set of programs."""
    return cache_folder() / f"{recipe or stored[0][0]}.lock"


def is_under_way(recipe: str | None) -> bool:
    """Return True if a process compiles the programs of a recipe."""
    try:
        return recipe is not None and is_held(lock_of([], recipe))
    except LockError:
        return False


def remember(recipe: str | None, stored: Stored) -> None:
    """Store which programs a recipe makes. A cache that can't be written is left as it is."""
    if recipe is not None and remembered(recipe) is None:
        try:
            write_atomically(_list_of(recipe), json.dumps(stored).encode())
        except (OSError, TuneexpError):
            return


def remembered(recipe: str | None) -> Stored | None:
    """Return the programs of a recipe if all of them are in the cache."""
    if recipe is None:
        return None
    try:
        stored = [(str(key), bool(in_place)) for key, in_place in json.loads(_list_of(recipe).read_text())]
    except (OSError, ValueError, TypeError):
        return None
    return stored if all(is_cached(key) for key, _ in stored) else None


def _list_of(recipe: str) -> Path:
    return cache_folder() / f"{recipe}.json"


@functools.cache
def processor() -> str:
    """Return model and instruction set. A cache may be shared by machines with different processors."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told = [line for line in lines if line.startswith(("model name", "flags", "CPU part", "Features"))]
    except OSError:
        told = [platform.processor()]
    return "\n".join([platform.machine(), *sorted(set(told))])


@functools.cache
def source_hash() -> str:
    """Return the hash of the sources of this library."""
    digest = hashlib.sha256()
    package = Path(tuneexp.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return digest.hexdigest()
