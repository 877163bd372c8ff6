"""Owner marker of checkpoint storage outside of the storage folder: two sweeps may have the same name."""

from __future__ import annotations

from tuneexp.errors import UserError
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig

OWNER_FILE = ".tuneexp-sweep"


def identity_of(config: SweepConfig) -> str:
    """Return the identity of a sweep, which stays when its folder is renamed or moved."""
    return f"{config.created_at_s:.6f}"


def refuse_foreign(config: SweepConfig, folder: SweepFolder, store: CheckpointStorage) -> None:
    """Raise UserError if the storage holds files of another sweep, or lacks the checkpoints of this one.

    Sweeps of earlier versions have no marker: their storage is recognised by their checkpoints."""
    if store.is_folder(folder.path):
        return
    owner = read_owner(store)
    if owner is not None and owner != identity_of(config):
        raise UserError(
            f"{store.path} belongs to another sweep {config.name!r}, of another --storage; choose another --name or "
            f"--checkpoints\n(if that sweep is no longer needed, delete {store.path})"
        )
    if owner is None and not folder.exists() and any(not name.startswith(".") for name in store.names("*")):
        raise UserError(f"{store.path} holds files of other programs; choose another --name or --checkpoints")
    if owner is None and _lacks_all_checkpoints(folder, store):
        raise UserError(
            f"{store.path} has no checkpoints of sweep {config.name!r}; is it mounted?\nif they have moved: "
            f"{folder.command('resume', '--checkpoints', 'FOLDER')}"
        )


def claim(config: SweepConfig, folder: SweepFolder, store: CheckpointStorage) -> None:
    """Write the owner marker, after `refuse_foreign`. UserError if another sweep has written one meanwhile."""
    if not store.is_folder(folder.path) and read_owner(store) is None:
        store.make()
        store.write(OWNER_FILE, identity_of(config).encode())
        refuse_foreign(config, folder, store)


def read_owner(store: CheckpointStorage) -> str | None:
    """Return the identity of the sweep that owns the storage; None without a marker."""
    return store.read(OWNER_FILE).decode(errors="replace").strip() if store.names(OWNER_FILE) else None


def _lacks_all_checkpoints(folder: SweepFolder, store: CheckpointStorage) -> bool:
    named = [record.checkpoint for record in snapshot.read_records(folder) if record.checkpoint]
    return bool(named) and not any(store.names("*", checkpoint) for checkpoint in named)
