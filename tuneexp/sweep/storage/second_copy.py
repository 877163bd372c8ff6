"""A second copy of the snapshot, which outlives a power cut.

`snapshot.zip` is replaced several times a second and never waits for the disk: after a power cut it may be empty, or
name checkpoints that are. So at most every `PERIOD_S`, and in a thread, because an fsync takes milliseconds: the
suggestions, the outbox and the checkpoints that a snapshot names are brought to the disk, then its copy. A resume
takes that one where `snapshot.zip` or a checkpoint of it is damaged.

An outbox that is ahead of the snapshot is normal: a kill leaves the same."""

from __future__ import annotations

import logging
import math
import threading
import time
from functools import partial
from pathlib import Path

from tuneexp.files.atomic import sync, write_atomically
from tuneexp.files.json_reading import DamagedFile
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.snapshot import Snapshot, pack, unpack
from tuneexp.tracking.outbox import Outbox

logger = logging.getLogger(__name__)

PERIOD_S = 10.0


class SecondCopy:
    """Writes the copy. A checkpoint in `needed` must stay. Its methods are for one thread."""

    def __init__(self, folder: SweepFolder, store: CheckpointStorage) -> None:
        self._folder, self._store = folder, store
        self._named = checkpoints_of_copy(folder)
        self._on_disk: frozenset[str] = frozenset()  # checkpoints that were synced before
        self._next_s = -math.inf
        self._thread: threading.Thread | None = None
        self._under_way: Snapshot | None = None
        self._error: OSError | None = None
        self._warned = False

    @property
    def needed(self) -> frozenset[str]:
        """Checkpoints that the copy names, the one on the disk or the one under way."""
        return self._named | (self._under_way.checkpoints if self._under_way else frozenset())

    def offer(self, snapshot: Snapshot) -> None:
        """Begin to copy a snapshot that was just committed, if it is time. Returns at once."""
        self._take_note()
        if self._thread is None and time.monotonic() >= self._next_s:
            self._begin(snapshot)

    def finish(self, snapshot: Snapshot) -> None:
        """Copy the last snapshot of a session, and wait for it."""
        self._wait()
        self._begin(snapshot)
        self._wait()

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._take_note()

    def _begin(self, snapshot: Snapshot) -> None:
        self._under_way, self._error = snapshot, None
        self._next_s = time.monotonic() + PERIOD_S
        self._thread = threading.Thread(target=self._copy, args=(snapshot,), name="second copy", daemon=True)
        self._thread.start()

    def _copy(self, snapshot: Snapshot) -> None:
        try:
            sync(self._folder.suggestions_file)
            sync(Outbox(self._folder.path).path)
            self._store.sync(snapshot.checkpoints - self._on_disk)
            write_atomically(self._folder.second_snapshot_file, pack(snapshot))
        except OSError as error:
            self._error = error

    def _take_note(self) -> None:
        """Once the thread has ended: the checkpoints that only the copy before it named are not needed any more."""
        if self._thread is None or self._thread.is_alive() or self._under_way is None:
            return
        copied, self._thread, self._under_way = self._under_way, None, None
        if self._error is not None:
            self._tell(self._error)
            return
        before, self._named, self._on_disk = self._named, copied.checkpoints, copied.checkpoints
        for checkpoint in before - copied.checkpoints:
            self._store.soon(partial(self._store.remove, checkpoint))

    def _tell(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("the sweep is not safe from a power cut: its snapshot can't be copied (%s)", error)


def checkpoints_of_copy(folder: SweepFolder) -> frozenset[str]:
    """The checkpoints that the second copy names; none where there is no readable one."""
    try:
        return unpack(folder.second_snapshot_file).checkpoints
    except (FileNotFoundError, DamagedFile):
        return frozenset()


def recover(folder: SweepFolder, store: CheckpointStorage) -> None:
    """Replace a snapshot that a power cut has damaged by its second copy, with a warning. Called before a resume."""
    first, second = _read(folder.snapshot_file), _read(folder.second_snapshot_file)
    if second is None or first == second or (first is not None and store.all_whole(first.checkpoints)):
        return
    if first is None or store.all_whole(second.checkpoints):
        logger.warning(
            "the last snapshot is damaged, as by a power cut: going on from its second copy, a few seconds older"
        )
        write_atomically(folder.snapshot_file, folder.second_snapshot_file.read_bytes())


def _read(path: Path) -> Snapshot | None:
    try:
        return unpack(path)
    except (FileNotFoundError, DamagedFile):
        return None
