"""Writes the saved views of a sweep into MLflow. Nothing else depends on them: a server that refuses is told once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tuneexp.tracking.outbox import Position, Record, load_position
from tuneexp.tracking.records import TRIAL_DISCARDED, TRIAL_STARTED, SweepLog, run_key
from tuneexp.tracking.store import open_client, tracking_uri
from tuneexp.tracking.trouble import reason
from tuneexp.tracking.views import (
    ALL_SWEEPS,
    TAG_PREFIX,
    envelope,
    is_own,
    is_same,
    sweep_key,
    sweep_view,
    sweeps_view,
)


class Views:
    """The view of one sweep and the one across the sweeps of its experiment; a view that a person changed is left.

    `tell`: what a person should know, in one line. `store`: its address, for that line."""

    def __init__(self, client: Any, sweep_folder: Path, store: str, tell: Callable[[str], None]) -> None:
        self.client, self.folder, self.store, self.tell = client, sweep_folder, store, tell
        self._points: dict[str, dict[str, Any]] | None = None
        self._written: tuple[str, Mapping[str, Any]] | None = None
        self._refused = False

    def follow(self, position: Position, records: Iterable[Record] = ()) -> None:
        """Bring the views up to date with `records`, which have been applied. Raises where the store is out of reach:
        then nothing else arrives either."""
        points = self._followed(records)
        if self._refused or not position.experiment_id:
            return
        wanted = (position.experiment_id, sweep_view(position.sweep_id, list(points.values())))
        if wanted == self._written:
            return
        try:
            self._write(position.experiment_id, sweep_key(position.sweep_id), self.folder.name, wanted[1])
            self._write(position.experiment_id, ALL_SWEEPS, "all sweeps", sweeps_view())
        except Exception as error:
            if not _is_refusal(error):
                raise
            self._refused = True
            position.has_view = False
            self.tell(f"the saved view of this sweep can't be stored ({reason(error, self.store)}); its runs are there")
        else:
            position.has_view = True
        self._written = wanted

    def _followed(self, records: Iterable[Record]) -> dict[str, dict[str, Any]]:
        """The varied values of the sweep's trials, by the keys of their runs."""
        if self._points is None:
            self._points = {run.key: run.params[0] for run in SweepLog.read(self.folder).runs.values()}
        for record in records:
            if record["kind"] == TRIAL_STARTED and record["params"]:  # none where it goes on
                self._points[run_key(record["trial"], record["draw"])] = record["params"]
            elif record["kind"] == TRIAL_DISCARDED:
                self._points.pop(run_key(record["trial"], record["draw"]), None)
        return self._points

    def _write(self, experiment_id: str, key: str, name: str, state: Mapping[str, Any]) -> None:
        tag = f"{TAG_PREFIX}{key}"
        stored = self.client.get_experiment(experiment_id).tags.get(tag)
        if stored is not None and (not is_own(stored) or is_same(stored, name, state)):
            return
        self.client.set_experiment_tag(experiment_id, tag, envelope(name, state, int(time.time() * 1000)))


def store_views(sweep_folder: Path, tell: Callable[[str], None]) -> bool:
    """Write the views of a sweep that MLflow has, where they are missing: those of a version before there were any, or
    that a person deleted. Returns whether they are there. Imports MLflow."""
    store, position = tracking_uri(sweep_folder.parent), load_position(sweep_folder)
    Views(open_client(sweep_folder.parent), sweep_folder, store, tell).follow(position)
    return position.has_view


def _is_refusal(error: Exception) -> bool:
    """True for an error that a retry would repeat: the store answered."""
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException) or error.error_code == "TEMPORARILY_UNAVAILABLE":
        return False
    return "failed with exception" not in str(error)  # MLflow's words where no answer came
