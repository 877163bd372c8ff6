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
            f"gs://bucket/folder or file:///folder{_credentials(folder)}"
        ) from None
    return found


def _credentials(folder: str) -> str:
    """Return the line that names the variables of the credentials of an object store; "" for a folder."""
    variables = {
        "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION",
        "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    }.get(folder.partition("://")[0])
    return f"\ncheck its name, and the credentials in the environment: {variables}" if variables else ""


def is_there(folder: str | Path) -> bool:
    """Return True if a folder exists, by path or URI. OSError if the storage does not answer."""
    if not is_uri(folder):
        return Path(folder).is_dir()
    from pyarrow.fs import FileType

    found, path = filesystem(str(folder))
    return bool(found.get_file_info(path.rstrip("/")).type != FileType.NotFound)


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
            raise UserError(f"{masked(str(folder))} can't be read ({why}){_credentials(str(folder))}") from None
        yield copy
