"""Lookup of a sweep's runs in MLflow, and of runs that a user deleted.

A deleted trial run stays deleted, and later records of the trial are skipped. The sweep's own run is restored, since
all others refer to it. If it is deleted permanently, or its experiment is deleted, the sweep is delivered again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tuneexp.tracking.outbox import Position, Record
from tuneexp.tracking.outbox_records import PARENT, run_key


class Refused(Exception):
    """A record that can never be applied."""


class SweepGone(Exception):
    """The sweep's experiment was deleted, or its run permanently: it must be delivered again.

    `experiment_is_there`: True if the experiment still holds runs of the sweep."""

    def __init__(self, text: str, experiment_is_there: bool) -> None:
        super().__init__(text)
        self.experiment_is_there = experiment_is_there


class KnownRuns:
    """Active runs of one sweep: `found` maps run keys to run ids.

    Args:
        client: `MlflowClient` of the store.
        position: Delivery position, which holds the ids, too. The caller stores it.
        tell: Shows one line to the user."""

    def __init__(self, client: Any, position: Position, tell: Callable[[str], None]) -> None:
        self.client = client
        self.position = position
        self.tell = tell
        self.found: dict[str, str] = {}
        self.loaded = False

    def handle_deleted(self) -> None:
        """Search for runs that a user deleted, and restore the sweep's own run. Raises SweepGone."""
        self.loaded = False
        if not self.position.parent_run_id:
            return
        experiment = self._known(self.client.get_experiment, self.position.experiment_id)
        if experiment is None or experiment.lifecycle_stage != "active":
            raise SweepGone(
                "the sweep's experiment was deleted in MLflow: all of it is delivered again, into a new one", False
            )
        if self._known(self.client.get_run, self.position.parent_run_id) is None:
            text = "the sweep's run was deleted in MLflow for good: all of it is delivered again, into a new run"
            raise SweepGone(text, bool(self._search()))
        self.load()

    def _known(self, get: Callable[[str], Any], identity: str) -> Any:
        """The entity; None if it does not exist (deleted permanently, or a server that lost its database)."""
        from mlflow.exceptions import MlflowException

        try:
            return get(identity)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def load(self) -> None:
        """Read the runs of this sweep from the store and delete duplicates."""
        if self.loaded:
            return
        groups: dict[str, list[Any]] = defaultdict(list)
        for run in sorted(self._search(), key=lambda run: (not self._is_noted(run), run.info.start_time)):
            groups[_identity(run)].append(run)
        self.found.clear()
        deleted = []
        for key, group in groups.items():
            active = [run for run in group if run.info.lifecycle_stage == "active"]
            for run in active[1:]:
                self.client.delete_run(run.info.run_id)
            if not active and key == PARENT:
                active = [self._restored(group[0])]
            if active:
                self.note(key, active[0].info.run_id)
            else:
                deleted.append(key)
        self._note_deleted(deleted)
        self.loaded = True

    def _restored(self, parent: Any) -> Any:
        self.client.restore_run(parent.info.run_id)
        self.tell("the sweep's run was deleted in MLflow: it is restored, since the runs of the trials refer to it")
        return parent

    def _search(self) -> list[Any]:
        from mlflow.entities import ViewType

        runs: list[Any] = []
        token: str | None = None
        query = f"tags.`tuneexp.sweep_id` = '{self.position.sweep_id}'"
        while True:
            page = self.client.search_runs(
                [self.position.experiment_id], query, ViewType.ALL, max_results=1000, page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def _note_deleted(self, deleted: list[str]) -> None:
        """Note runs that a user deleted, and tell the user that they stay deleted."""
        gone = [key for key in self.position.run_ids if key not in self.found]
        trials = sorted(int(key.partition(".")[0]) for key in gone)
        if trials:
            names = ", ".join(f"trial {trial}" for trial in trials)
            self.tell(f"these runs were deleted in MLflow, and stay deleted: {names}")
        for key in gone:
            del self.position.run_ids[key]
        known = {*self.position.deleted, *deleted, *gone}
        self.position.deleted = sorted(known - set(self.found))

    def is_deleted(self, record: Record) -> bool:
        return "trial" in record and run_key(record["trial"], record["draw"]) in self.position.deleted

    def _is_noted(self, run: Any) -> bool:
        return run.info.run_id in {self.position.parent_run_id, *self.position.run_ids.values()}

    def note(self, key: str, run_id: str) -> None:
        self.found[key] = run_id
        if key != PARENT:
            self.position.run_ids[key] = run_id

    def id_of(self, key: str) -> str:
        if key not in self.found:
            raise Refused(f"{'the sweep' if key == PARENT else 'trial ' + key.partition('.')[0]} has no run")
        return self.found[key]


def _identity(run: Any) -> str:
    tags = run.data.tags
    if "tuneexp.trial_number" not in tags:
        return PARENT
    return run_key(int(tags["tuneexp.trial_number"]), int(tags["tuneexp.draw"]))
