"""Checkpoint storage: the folder or URI in which Tune keeps the trials of a sweep, and its own state."""

from __future__ import annotations

import fnmatch
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tuneexp.errors import UserError
from tuneexp.files.atomic import sync, sync_folder, write_atomically
from tuneexp.files.remote_folders import filesystem, is_uri, joined
from tuneexp.security.masking import masked
from tuneexp.sweep.storage.folder import SweepFolder, storage_folder, writable_storage

# Timeout of an object store: its client would retry for minutes.
ANSWER_LIMIT_S = 20.0
_WORKER = ThreadPoolExecutor(1, thread_name_prefix="checkpoint storage")


@dataclass(frozen=True)
class CheckpointStorage:
    """Checkpoint storage of one sweep. Names are relative to the sweep's folder in it.

    storage: `storage_path` of Tune."""

    storage: str
    name: str

    @property
    def path(self) -> str:
        return joined(self.storage, self.name)

    def path_of(self, name: str) -> str:
        """Return the path or URI of a name, such as `trial_.../checkpoint_...`."""
        return joined(self.path, name)

    def names(self, pattern: str, inside: str = "") -> list[str]:
        """Return the sorted names here, or in the folder `inside`, that match the pattern, such as `trial_*`."""
        from pyarrow.fs import FileSelector

        fs, root = self._at(inside)
        found = fs.get_file_info(FileSelector(root, allow_not_found=True))
        prefix = f"{inside}/" if inside else ""
        return sorted(prefix + info.base_name for info in found if fnmatch.fnmatchcase(info.base_name, pattern))

    def is_folder(self, path: Path) -> bool:
        """Return True if the storage is the folder `path`."""
        return self._is_local() and Path(self._at("")[1]).resolve() == path.resolve()

    def size_bytes(self, name: str) -> int:
        """Return the size of a folder's files; 0 if there is none, or the storage does not answer."""
        from pyarrow.fs import FileSelector

        fs, path = self._at(name)
        try:
            found = fs.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
        except OSError:
            return 0
        return sum(info.size or 0 for info in found)

    def remove(self, name: str) -> None:
        """Delete a file or folder, if it exists."""
        fs, path = self._at(name)
        with suppress(OSError):
            if fs.get_file_info(path).is_file:
                fs.delete_file(path)
            else:
                fs.delete_dir(path)

    def soon(self, work: Callable[[], None]) -> None:
        """Call `work`: at once, or for an object store in a thread, since its latency (0.1 s) would delay Tune."""
        if is_uri(self.storage):
            _WORKER.submit(work)
        else:
            work()

    def make(self) -> None:
        fs, path = self._at("")
        fs.create_dir(path)

    def write(self, name: str, data: bytes) -> None:
        """Replace a file atomically."""
        if not is_uri(self.path):
            write_atomically(Path(self.path) / name, data)
            return
        fs, path = self._at(name)
        with fs.open_output_stream(path) as stream:
            stream.write(data)

    def read(self, name: str) -> bytes:
        """Read a file. OSError if it does not exist."""
        if not is_uri(self.path):
            return (Path(self.path) / name).read_bytes()
        fs, path = self._at(name)
        with fs.open_input_stream(path) as stream:
            return bytes(stream.read())

    def sync(self, checkpoints: Iterable[str]) -> None:
        """Sync checkpoints to the disk. An object store needs none."""
        if self._is_local():
            for name in checkpoints:
                sync_folder(Path(self._at(name)[1]))
            sync(Path(self._at("")[1]))

    def all_whole(self, checkpoints: Iterable[str]) -> bool:
        """Return True if every checkpoint is complete. Writes of an object store are atomic."""
        from tuneexp.files.checkpoint import is_whole

        return not self._is_local() or all(is_whole(self._at(name)[1]) for name in checkpoints)

    def check_writable(self) -> None:
        """Raise UserError if the storage can't be written, or after a timeout."""
        if not is_uri(self.storage):
            writable_storage(self.storage, "--checkpoints")
            return
        problem = [f"timed out after {ANSWER_LIMIT_S:.0f} s"]
        thread = threading.Thread(target=self._write_and_remove, args=(problem,), daemon=True)
        thread.start()
        thread.join(ANSWER_LIMIT_S)
        if problem:
            raise UserError(
                f"--checkpoints {self.storage!r} can't be written: {problem[-1]}\n"
                "check its name, and the credentials (of an object store: in the environment, as AWS_ACCESS_KEY_ID)"
            )

    def _write_and_remove(self, problem: list[str]) -> None:
        probe = f".write-test-{os.getpid()}"
        try:
            self.make()
            self.write(probe, b"")
            self.remove(probe)
            problem.clear()
        except Exception as error:
            problem.append(" ".join(str(error).split())[:200])

    def _is_local(self) -> bool:
        return bool(_opened(self.storage)[0].type_name == "local")

    def _at(self, name: str) -> tuple[Any, str]:
        fs, root = _opened(self.storage)
        return fs, "/".join(part for part in (root.rstrip("/"), self.name, name) if part)


def checkpoint_storage_of(folder: SweepFolder, checkpoints: str | None) -> CheckpointStorage:
    """Return the storage of a sweep. checkpoints: from `lasting_location`, or None for the sweep's own folder."""
    if checkpoints is not None and is_uri(checkpoints):
        return CheckpointStorage(checkpoints, folder.name)
    return CheckpointStorage(str(folder.storage / (checkpoints or "")), folder.name)


def lasting_location(checkpoints: str | Path, storage: Path) -> str:
    """Return `--checkpoints` for sweep.json: a folder inside the storage is relative to it, since that may be moved."""
    if is_uri(checkpoints):
        if masked(str(checkpoints)) != str(checkpoints):
            raise UserError(
                "--checkpoints contains a key, but is stored and shown; set the key in the environment of all nodes\n"
                "(such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
            )
        return str(checkpoints)
    path = storage_folder(checkpoints, "--checkpoints")
    inside = path.resolve().is_relative_to(storage.resolve())
    return str(path.resolve().relative_to(storage.resolve())) if inside else str(path)


@cache
def _opened(storage: str) -> tuple[Any, str]:
    return filesystem(storage)
