"""Atomic replacement, sync and removal of local files and folders."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from os import replace
from pathlib import Path
from typing import Any


def write_atomically(path: Path, data: bytes, lasting: bool = True, private: bool = False) -> None:
    """Replace `path` atomically: after a kill it holds either the old bytes or all the new ones.

    Args:
        path: the file. Its folder must exist.
        data: the new bytes.
        lasting: sync to the disk, so that a power cut after the call changes nothing either. It takes milliseconds.
        private: only this user can read the file (mode 0600).

    Raises:
        OSError: the file can't be written. The old one stays, and no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()  # a partial file would take space that the next try needs
        raise
    if lasting:
        sync(path.parent)


def sync(path: Path) -> None:
    """Sync a file, or the entries of a folder, to the disk. Does nothing if `path` does not exist."""
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that does not support it for folders
                raise
        finally:
            os.close(handle)


def sync_folder(path: Path) -> None:
    """Sync a folder with its files, such as a checkpoint, and its own name to the disk."""
    if path.is_dir():
        for file in (*path.iterdir(), path, path.parent):
            sync(file)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace `path` atomically by indented JSON."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def remove(path: Path) -> None:
    """Delete a file or folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
