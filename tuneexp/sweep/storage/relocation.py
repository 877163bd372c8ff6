"""Relocation of Tune's state, which holds the paths of the storage and of the user's code; reopening of its search."""

from __future__ import annotations

from collections.abc import Mapping

from ray import cloudpickle
from ray.train._internal.storage import get_fs_and_path

from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage
from tuneexp.sweep.storage.snapshot import SEARCH_GENERATOR


def relocate(store: CheckpointStorage, moved: Mapping[str, str]) -> None:
    """Set the paths in Tune's restored search generator, from which new trials get theirs, and reopen it.

    Tune relocates restored trials itself. The searcher decides again if the sweep has ended: it may be extended.
    moved: new addresses of the user's code."""
    (name,) = store.names(SEARCH_GENERATOR)
    state = cloudpickle.loads(store.read(name))
    spec = state["experiment"].spec
    storage, known = spec["storage"], spec["config"].get("moved", {})
    file_system, path = get_fs_and_path(store.storage)
    if (storage.storage_fs_path, storage.experiment_dir_name, known) != (path, store.name, dict(moved)) or state[
        "finished"
    ]:
        state["finished"] = False
        storage.storage_filesystem, storage.storage_fs_path = file_system, path
        storage.experiment_dir_name = store.name
        spec["config"]["moved"] = dict(moved)
        store.write(name, cloudpickle.dumps(state))
