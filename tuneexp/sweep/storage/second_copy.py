"""A second copy of the snapshot, which survives a power cut.

`snapshot.zip` is replaced several times a second without fsync: after a power cut it may be empty, or name checkpoints
that are. So at most every `PERIOD_S`, a thread syncs the suggestions, the outbox and the checkpoints that a snapshot
names to the disk, then a copy of the snapshot. An fsync takes milliseconds. A resume uses the copy if `snapshot.zip` or
one of its checkpoints is damaged.

The outbox may be ahead of the snapshot, as after a kill."""

from __future__ import annotations

import logging
import math
import threading
import time
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
    """Writes the copy. Checkpoints in `needed` must not be removed. Not thread-safe."""

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
        """Checkpoints named by the copy on the disk or by the one being written."""
        return self._named | (self._under_way.checkpoints if self._under_way else frozenset())

    def offer(self, snapshot: Snapshot) -> None:
        """Start to copy a snapshot that was just committed, if the period has passed. Returns at once."""
        self._update_needed()
        if self._thread is None and time.monotonic() >= self._next_s:
            self._begin(snapshot)

    def finish(self, snapshot: Snapshot) -> None:
        """Copy the last snapshot of a run, and wait for it."""
        self._wait()
        self._begin(snapshot)
        self._wait()

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._update_needed()

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

    def _update_needed(self) -> None:
        """Update `needed` after the thread has ended: checkpoints of the former copy are no longer needed."""
        if self._thread is None or self._thread.is_alive() or self._under_way is None:
            return
        copied, self._thread, self._under_way = self._under_way, None, None
        if self._error is not None:
            self._tell(self._error)
            return
        self._named = self._on_disk = copied.checkpoints

    def _tell(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("a power cut could damage the sweep: the copy of its snapshot can't be written (%s)", error)


def checkpoints_of_copy(folder: SweepFolder) -> frozenset[str]:
    """Return the checkpoints that the second copy names; none without a readable copy."""
    try:
        return unpack(folder.second_snapshot_file).checkpoints
    except (FileNotFoundError, DamagedFile):
        return frozenset()


def recover(folder: SweepFolder, store: CheckpointStorage) -> None:
    """Replace a snapshot that a power cut has damaged by its second copy. Called before a resume."""
    first, second = _read(folder.snapshot_file), _read(folder.second_snapshot_file)
    if second is None or first == second or (first is not None and store.all_whole(first.checkpoints)):
        return
    if first is None or store.all_whole(second.checkpoints):
        logger.warning(
            "the last snapshot is damaged, as after a power cut: continuing from its second copy, a few seconds older"
        )
        write_atomically(folder.snapshot_file, folder.second_snapshot_file.read_bytes())


def _read(path: Path) -> Snapshot | None:
    try:
        return unpack(path)
    except (FileNotFoundError, DamagedFile):
        return None
