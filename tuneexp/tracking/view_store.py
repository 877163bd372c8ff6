"""Writes the saved views of a sweep to MLflow. They are optional: a refusal by the server is logged once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tuneexp.tracking.outbox import Position, Record, load_position
from tuneexp.tracking.outbox_records import REPORTED, TRIAL_DISCARDED, TRIAL_STARTED, SweepLog, run_key
from tuneexp.tracking.store import open_client, storage_of, tracking_uri
from tuneexp.tracking.store_errors import reason
from tuneexp.tracking.views import (
    ALL_SWEEPS,
    TAG_PREFIX,
    Goal,
    envelope,
    is_own,
    is_same,
    metric_section,
    sweep_key,
    sweep_view,
    sweeps_view,
)


class Views:
    """Saved view of one sweep, and the one that compares the sweeps of its experiment. A view that a user changed is
    not overwritten.

    Args:
        client: `MlflowClient` of the store.
        sweep_folder: Folder of the sweep.
        store: Address of the store, for messages.
        tell: Shows one line to the user."""

    def __init__(self, client: Any, sweep_folder: Path, store: str, tell: Callable[[str], None]) -> None:
        self.client, self.folder, self.store, self.tell = client, sweep_folder, store, tell
        self._points: dict[str, dict[str, Any]] | None = None
        self._goal = Goal()
        self._sections: dict[str, None] = {}  # of all metrics, in order of appearance
        self._written: tuple[str, Mapping[str, Any], Mapping[str, Any]] | None = None
        self._refused = False

    def follow(self, position: Position, records: Iterable[Record] = ()) -> None:
        """Update the views after `records` were applied. Raises if the store can't be reached."""
        points = self._followed(records)
        if self._refused or not position.experiment_id:
            return
        own = sweep_view(position.sweep_id, list(points.values()), self._sections, self._goal)
        wanted = (position.experiment_id, own, sweeps_view(self._sections))
        if wanted == self._written:
            return
        try:
            self._write(position.experiment_id, sweep_key(position.sweep_id), self.folder.name, wanted[1])
            self._write(position.experiment_id, ALL_SWEEPS, "all sweeps", wanted[2])
        except Exception as error:
            if not _is_refusal(error):
                raise
            self._refused = True
            position.has_view = False
            self.tell(
                f"the saved view of this sweep can't be stored ({reason(error, self.store)}); its runs are stored"
            )
        else:
            position.has_view = True
        self._written = wanted

    def _followed(self, records: Iterable[Record]) -> dict[str, dict[str, Any]]:
        """Varied hyperparameters of the sweep's trials, by the keys of their runs."""
        if self._points is None:
            log = SweepLog.read(self.folder)
            runs, self._goal = log.runs.values(), Goal.of_params(log.params)
            self._points = {run.key: run.params[0] for run in runs}
            for run in runs:
                self._add_sections(run.last_metrics)
        for record in records:
            if record["kind"] == TRIAL_STARTED and record["params"]:  # a trial that continues has none
                self._points[run_key(record["trial"], record["draw"])] = record["params"]
            elif record["kind"] == TRIAL_DISCARDED:
                self._points.pop(run_key(record["trial"], record["draw"]), None)
            elif record["kind"] == REPORTED:
                self._add_sections(record["metrics"])
        return self._points

    def _add_sections(self, metrics: Iterable[str]) -> None:
        self._sections |= dict.fromkeys(section for name in metrics if (section := metric_section(name)))

    def _write(self, experiment_id: str, key: str, name: str, state: Mapping[str, Any]) -> None:
        tag = f"{TAG_PREFIX}{key}"
        stored = self.client.get_experiment(experiment_id).tags.get(tag)
        if stored is not None and (not is_own(stored) or is_same(stored, name, state)):
            return
        self.client.set_experiment_tag(experiment_id, tag, envelope(name, state, int(time.time() * 1000)))


def store_views(sweep_folder: Path, tell: Callable[[str], None]) -> bool:
    """Write the saved views of a delivered sweep where they are missing or out of date. Imports MLflow.

    Returns:
        True if the store has them.
    Raises:
        Exception: The store can't be reached."""
    storage = storage_of(sweep_folder)
    store, position = tracking_uri(storage), load_position(sweep_folder)
    Views(open_client(storage), sweep_folder, store, tell).follow(position)
    return position.has_view


def _is_refusal(error: Exception) -> bool:
    """True if the store answered with an error: a retry would fail again."""
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException) or error.error_code == "TEMPORARILY_UNAVAILABLE":
        return False
    return "failed with exception" not in str(error)  # MLflow's message if there was no answer
