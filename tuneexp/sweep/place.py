"""Where Tune keeps a sweep's trials, and its own state beside them: the sweep's folder, or one under a URI."""

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
from tuneexp.masking import masked
from tuneexp.remote_folders import filesystem, is_uri, joined
from tuneexp.sweep.folder import SweepFolder, storage_folder, sync, sync_folder, writable_storage, write_atomically

# An object store that doesn't answer: its client would try for minutes.
ANSWER_LIMIT_S = 20.0
_WORKER = ThreadPoolExecutor(1, thread_name_prefix="place")


@dataclass(frozen=True)
class Place:
    """`storage`: what Tune calls `storage_path`; the sweep has a folder in it, to which names are relative."""

    storage: str
    name: str

    @property
    def path(self) -> str:
        return joined(self.storage, self.name)

    def path_of(self, name: str) -> str:
        """The path or URI of what lies here, such as `trial_.../checkpoint_...`."""
        return joined(self.path, name)

    def names(self, pattern: str, inside: str = "") -> list[str]:
        """What lies here, or in the folder `inside`, and fits the pattern, such as `trial_*`; sorted."""
        from pyarrow.fs import FileSelector

        fs, root = self._at(inside)
        found = fs.get_file_info(FileSelector(root, allow_not_found=True))
        prefix = f"{inside}/" if inside else ""
        return sorted(prefix + info.base_name for info in found if fnmatch.fnmatchcase(info.base_name, pattern))

    def is_folder(self, path: Path) -> bool:
        """Whether the place is the folder `path`."""
        return self._is_local() and Path(self._at("")[1]).resolve() == path.resolve()

    def remove(self, name: str) -> None:
        """Delete a file or folder that may be gone already."""
        fs, path = self._at(name)
        with suppress(OSError):
            if fs.get_file_info(path).is_file:
                fs.delete_file(path)
            else:
                fs.delete_dir(path)

    def soon(self, work: Callable[[], None]) -> None:
        """Do it now; by a thread where an object store, with its tenth of a second an answer, would hold Tune up."""
        if is_uri(self.storage):
            _WORKER.submit(work)
        else:
            work()

    def make(self) -> None:
        fs, path = self._at("")
        fs.create_dir(path)

    def write(self, name: str, data: bytes) -> None:
        """Replace a file, whole or not at all."""
        if not is_uri(self.path):
            write_atomically(Path(self.path) / name, data)
            return
        fs, path = self._at(name)
        with fs.open_output_stream(path) as stream:
            stream.write(data)

    def read(self, name: str) -> bytes:
        """Raises OSError where there is no such file."""
        if not is_uri(self.path):
            return (Path(self.path) / name).read_bytes()
        fs, path = self._at(name)
        with fs.open_input_stream(path) as stream:
            return bytes(stream.read())

    def sync(self, checkpoints: Iterable[str]) -> None:
        """Bring checkpoints to the disk itself. An object store has what it has accepted."""
        if self._is_local():
            for name in checkpoints:
                sync_folder(Path(self._at(name)[1]))
            sync(Path(self._at("")[1]))

    def all_whole(self, checkpoints: Iterable[str]) -> bool:
        """True where every checkpoint can be read. Those in an object store are: it shows nothing half written."""
        from tuneexp.checkpoint import is_whole

        return not self._is_local() or all(is_whole(self._at(name)[1]) for name in checkpoints)

    def check_writable(self) -> None:
        """UserError where nothing can be written here, or nobody answers."""
        if not is_uri(self.storage):
            writable_storage(self.storage, "--checkpoints")
            return
        problem = [f"no answer in {ANSWER_LIMIT_S:.0f} s"]
        thread = threading.Thread(target=self._write_and_remove, args=(problem,), daemon=True)
        thread.start()
        thread.join(ANSWER_LIMIT_S)
        if problem:
            raise UserError(
                f"--checkpoints {self.storage!r} can't be written: {problem[-1]}\n"
                "check its name, and the credentials (an object store reads them from the environment, AWS_... say)"
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


def place_of(folder: SweepFolder, checkpoints: str | None) -> Place:
    """`checkpoints`: as `lasting_place` gives it, or None for the sweep's own folder."""
    if checkpoints is not None and is_uri(checkpoints):
        return Place(checkpoints, folder.name)
    return Place(str(folder.storage / (checkpoints or "")), folder.name)


def lasting_place(checkpoints: str | Path, storage: Path) -> str:
    """How `--checkpoints` is stored: a folder inside the storage relative to it, since the storage may be moved."""
    if is_uri(checkpoints):
        if masked(str(checkpoints)) != str(checkpoints):
            raise UserError(
                "--checkpoints is stored and shown, and holds a key; set that in the environment of all nodes instead\n"
                "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, say)"
            )
        return str(checkpoints)
    path = storage_folder(checkpoints, "--checkpoints")
    inside = path.resolve().is_relative_to(storage.resolve())
    return str(path.resolve().relative_to(storage.resolve())) if inside else str(path)


@cache
def _opened(storage: str) -> tuple[Any, str]:
    return filesystem(storage)
