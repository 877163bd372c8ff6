"""Folders by URI (`s3://bucket/folder`, `gs://...`, `file:///...`), as in Ray Tune and pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuneexp.errors import UserError
from tuneexp.files.temporary import temporary_folder
from tuneexp.security.masking import masked


def is_uri(folder: str | Path) -> bool:
    return "://" in str(folder)


def joined(folder: str, *names: str) -> str:
    """Return `folder/name/name`. The query (`?...`) of a URI stays at its end."""
    path, question, options = folder.partition("?") if is_uri(folder) else (folder, "", "")
    return "/".join([path.rstrip("/"), *names]) + question + options


def filesystem(folder: str) -> tuple[Any, str]:
    """Return pyarrow's file system and the path in it. UserError for an unknown URI."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, LocalFileSystem

    if not is_uri(folder):
        return LocalFileSystem(), folder
    if "#" in folder:  # pyarrow drops what follows, and would use another folder
        raise UserError(f"{masked(folder)!r} is a URI with a '#'; write %23 for it, or a path without ://")
    try:
        found: tuple[Any, str] = FileSystem.from_uri(folder)
    except (ArrowException, OSError, ValueError) as error:
        raise UserError(
            f"{masked(folder)!r} names no storage ({masked(' '.join(str(error).split()))}); write s3://bucket/folder, "
            "gs://bucket/folder or file:///folder"
        ) from None
    return found


@contextmanager
def local_copy(folder: str | Path) -> Iterator[Path]:
    """Yield `folder` itself if it is a path; for a URI a temporary copy."""
    if not is_uri(folder):
        yield Path(folder)
        return
    from pyarrow.fs import LocalFileSystem, copy_files

    source, path = filesystem(str(folder))
    with temporary_folder() as copy:
        try:
            copy_files(path, str(copy), source_filesystem=source, destination_filesystem=LocalFileSystem())
        except OSError as error:
            why = masked(" ".join(str(error).split()))[:200]
            raise UserError(f"{masked(str(folder))} can't be read ({why})") from None
        yield copy
