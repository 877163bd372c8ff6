"""Checkpoints that undelivered records of an outbox name. Imports neither MLflow nor Ray."""

from __future__ import annotations

from pathlib import Path

from tuneexp.files.json_reading import parse_json
from tuneexp.tracking.member_paths import of_whole
from tuneexp.tracking.outbox import Outbox, load_position
from tuneexp.tracking.outbox_records import CHECKPOINTS_KEPT, SWEEP_ENDED

_KINDS = (CHECKPOINTS_KEPT.encode(), SWEEP_ENDED.encode())


def undelivered_checkpoints(sweep_folder: Path) -> frozenset[str]:
    """Return the checkpoints of which MLflow is still to make models, as `trial_.../checkpoint_...`.

    Args:
        sweep_folder: Folder of the sweep.

    Returns:
        Their names in the checkpoint storage. Records of a missing outbox and damaged records have none.
    """
    path, names = Outbox(sweep_folder).path, set()
    if not path.exists():
        return frozenset()
    with path.open("rb") as handle:
        handle.seek(load_position(sweep_folder).offset)
        for line in handle:
            if any(kind in line for kind in _KINDS):
                names |= {name_of(one) for one in _paths(line)}
    return frozenset(names)


def name_of(path: str) -> str:
    """Return the name of a checkpoint in its storage, by its path or URI in a record."""
    return of_whole(path.partition("?")[0])


def _paths(line: bytes) -> list[str]:
    try:
        entry = parse_json(line)
        best = (entry.get("best") or {}).get("checkpoint")
        return [one["path"] for one in entry.get("checkpoints", ())] + ([best] if best else [])
    except (ValueError, AttributeError, KeyError, TypeError):
        return []
