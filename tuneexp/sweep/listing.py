"""List of the sweeps of a storage folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuneexp.errors import TuneexpError
from tuneexp.sweep.results import result_of
from tuneexp.sweep.storage.folder import SweepFolder, storage_folder
from tuneexp.sweep.sweep_config import read_config


def list_sweeps(storage: str | Path = "runs") -> list[dict[str, Any]]:
    """List the sweeps of a storage folder, oldest first.

    Args:
        storage: The folder.

    Returns:
        One mapping for each sweep: `name`, `state`, `reason`, `algorithm`, `env`, `trials`, `finished`, `best`
        (objective), `created_at_s`. A sweep that cannot be read has the state "unreadable" and the reason.
    """
    rows = []
    for path in sorted(storage_folder(storage).glob("*/sweep.json")):
        try:
            rows.append(_list_row(SweepFolder(path.parent)))
        except TuneexpError as error:
            why = " ".join(str(error).split())
            rows.append({"name": path.parent.name, "state": "unreadable", "reason": why, "created_at_s": 0.0})
    return sorted(rows, key=lambda row: row["created_at_s"])


def _list_row(folder: SweepFolder) -> dict[str, Any]:
    config = read_config(folder)
    result = result_of(config, folder)
    return {
        "name": folder.name,
        "state": result.state,
        "reason": None,
        "algorithm": config.trial.algorithm,
        "env": config.trial.env,
        "trials": config.trials,
        "finished": sum(trial.outcome is not None for trial in result.trials),
        "best": next(iter(result.best.objectives.values())) if result.best else None,
        "created_at_s": config.created_at_s,
    }
