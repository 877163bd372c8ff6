"""Checks before a sweep starts that its files can be written."""

from __future__ import annotations

from tuneexp.files.retries import patience_s
from tuneexp.security.signatures import require_key
from tuneexp.sweep.storage.checkpoint_storage import checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder, refuse_unwritable, writable_storage
from tuneexp.sweep.storage.owner_marker import refuse_foreign
from tuneexp.sweep.sweep_config import SweepConfig
from tuneexp.tracking.store import check_store


def check_writable(folder: SweepFolder, config: SweepConfig, touch: bool = True) -> None:
    """Raise UserError if the sweep's files can't be written.

    touch: write a file and remove it. Without it permissions are looked up, and nothing is created."""
    patience_s()
    require_key()
    check_store()
    if config.checkpoints:  # first: if it is refused, no storage folder is created
        store = checkpoint_storage_of(folder, config.checkpoints)
        if touch:
            store.check_writable()
        refuse_foreign(config, folder, store)
    if touch:
        writable_storage(folder.storage)
    else:
        refuse_unwritable(folder.storage)
