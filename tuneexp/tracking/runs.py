"""Applies the records of the outbox to MLflow. Each record is idempotent.

- A run is created with its identity as tags (`tuneexp.sweep_id`, `.trial_number`, `.draw`) in one call, and is found by
  them. A kill or a lost reply after the creation leaves no duplicate.
- A metric has the time of its record. MLflow's key of a metric is (run, name, step, time, value), so the database drops
  a metric that is logged again. (MLflow's former file store has no such key.)
- Params, tags, status and artifacts are overwritten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tuneexp.files.remote_folders import is_uri
from tuneexp.tracking import outbox_records as records_of
from tuneexp.tracking.checkpoint_models import SWEEP_ID
from tuneexp.tracking.delivery_process import mlflow_ids
from tuneexp.tracking.description_writer import (
    describe,
    describe_experiment,
    initial_tags,
    interrupted_trials,
    try_to_log_artifacts,
)
from tuneexp.tracking.kept_models import delete_models_of, log_kept
from tuneexp.tracking.known_runs import KnownRuns
from tuneexp.tracking.outbox import Position, Record
from tuneexp.tracking.outbox_records import (
    CHECKPOINTED,
    CHECKPOINTS_KEPT,
    PARENT,
    REPORTED,
    SWEEP_ENDED,
    SWEEP_STARTED,
    TRIAL_DISCARDED,
    TRIAL_ENDED,
    TRIAL_STARTED,
    run_key,
)
from tuneexp.tracking.outcome import INTERRUPTED, MLFLOW_STATUS, RUNNING
from tuneexp.tracking.store import storage_of, tracking_uri
from tuneexp.tracking.summary import write_summary
from tuneexp.tracking.values import flat_params, tag_values
from tuneexp.tracking.view_store import Views
from tuneexp.tracking.within import SWEEP

METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100  # limits of MLflow's log_batch


@dataclass
class Batch:
    """Metrics, params and tags of one run for the next call."""

    metrics: list[Any] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class Runs(KnownRuns):
    """Runs of one sweep in MLflow, and the records that change them."""

    def __init__(
        self,
        client: Any,
        sweep_folder: Path,
        artifact_root: str | None,
        position: Position,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(client, position, tell)
        self.sweep_folder = sweep_folder
        self.artifact_root = artifact_root
        self.pending: dict[str, Batch] = defaultdict(Batch)
        self.reports: dict[str, dict[int, Record]] = defaultdict(dict)  # of the runs, by step: metrics of their models
        self.views = Views(client, sweep_folder, tracking_uri(storage_of(sweep_folder)), tell)

    def apply(self, records: list[Record]) -> None:
        """Apply `records` in order. Consecutive reports of a run are sent in one call. Raises MLflow's errors."""
        self.pending.clear()
        handlers: dict[str, Callable[[Record], None]] = {
            SWEEP_STARTED: self._sweep_started,
            TRIAL_STARTED: self._trial_started,
            REPORTED: self._reported,
            records_of.TAKEN_OVER: self._taken_over,
            CHECKPOINTED: self._checkpointed,
            TRIAL_ENDED: self._trial_ended,
            CHECKPOINTS_KEPT: partial(log_kept, self),
            TRIAL_DISCARDED: self._discard,
            records_of.INTERRUPTED: self._interrupted,
            SWEEP_ENDED: lambda record: write_summary(self, record),
        }
        if self.position.experiment_id:
            self.load()
        for record in records:
            handler = handlers.get(record["kind"])
            if handler and not self.is_deleted(record):
                handler(record)
        for key in list(self.pending):
            self.send(key)
        self.views.follow(self.position, records)

    # The sweep.

    def _sweep_started(self, record: Record) -> None:
        self.position.sweep_id = record["sweep_id"]
        # The known one, also if a user renamed it.
        self.position.experiment_id = self.position.experiment_id or self._experiment(record["experiment"])
        self.loaded = False
        self.load()
        tags = {
            "tuneexp.kind": record.get("of_kind", SWEEP),
            "tuneexp.sweep": record["sweep"],
            **self._place(record),
            **initial_tags(self, record),
        }
        is_new = PARENT not in self.found
        run_id = self._ensure(PARENT, tags, record["at_ms"])
        self.position.parent_run_id = run_id
        if not is_new:
            describe(self, PARENT, record)
        self.client.update_run(run_id, status="RUNNING")
        self.pending[PARENT].params |= record["params"]
        self.pending[PARENT].tags |= tag_values(record["tags"]) | self._place(record)
        self.send(PARENT)
        describe_experiment(self, record)
        try_to_log_artifacts(self, record)

    def _place(self, record: Record) -> dict[str, str]:
        """Tag of the run that contains the run of a sweep within another one, if that is known."""
        containing = mlflow_ids(self.sweep_folder.parent).parent_run_id if record.get("within") else ""
        return {"mlflow.parentRunId": containing} if containing else {}

    def _experiment(self, name: str) -> str:
        """Id of the active experiment of that name, created if missing. If a user deleted it, another name is used:
        `NAME (2)`."""
        candidate, number = name, 1
        while True:
            known = self.client.get_experiment_by_name(candidate)
            if known is None:
                return str(self._create_experiment(candidate))
            if known.lifecycle_stage == "active":
                return str(known.experiment_id)
            number += 1
            candidate = f"{name} ({number})"

    def _create_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return str(self.client.create_experiment(name, artifact_location=self.artifact_root))
        except MlflowException as error:
            known = self.client.get_experiment_by_name(name)  # another sweep was faster
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or known is None:
                raise
            return str(known.experiment_id)

    def _interrupted(self, record: Record) -> None:
        """Set all open runs to KILLED, until a resume starts them again."""
        trials = interrupted_trials(record)
        for key in [PARENT, *(run_key(trial, draw) for trial, draw in record["open"])]:
            run_id = self.found.get(key)
            if run_id is None:
                continue
            describe(self, key, trials.get(key, record if key == PARENT else {}), INTERRUPTED)
            if key != PARENT:
                self.pending[key].tags["outcome"] = INTERRUPTED
            self.send(key)
            self.client.set_terminated(run_id, "KILLED", record["at_ms"])

    # A trial.

    def _trial_started(self, record: Record) -> None:
        key = run_key(record["trial"], record["draw"])
        tags = {
            "tuneexp.kind": "trial",
            "tuneexp.sweep": record["sweep"],
            "tuneexp.trial_number": str(record["trial"]),
            "tuneexp.draw": str(record["draw"]),
            "mlflow.parentRunId": self.position.parent_run_id,
            **initial_tags(self, record),
            **tag_values(record.get("tags", {})),
        }
        self._ensure(key, tags, record["at_ms"])
        self.pending[key].tags["mlflow.parentRunId"] = self.position.parent_run_id  # which may have been made anew
        self.pending[key].tags["outcome"] = RUNNING
        if record.get("again"):
            describe(self, key, record)
            self.send(key)
            self.client.update_run(self.found[key], status="RUNNING")
        self.pending[key].params |= flat_params(record["params"])

    def _reported(self, record: Record) -> None:
        batch = self.pending[self.key(record)]
        batch.metrics += [self.metric(name, value, record) for name, value in record["metrics"].items()]
        self.reports[self.key(record)][record["step"]] = record
        batch.tags |= tag_values(record.get("tags", {}))

    def _taken_over(self, record: Record) -> None:
        batch = self.pending[self.key(record)]
        batch.metrics += [self.metric(name, value, record) for name, value in record["metrics"].items()]
        after = {**record, "step": record["step"] + 1}
        batch.metrics += [self.metric(name, value, after) for name, value in record["next_metrics"].items()]
        batch.tags |= tag_values(record["tags"])

    def _checkpointed(self, record: Record) -> None:
        tags = {"checkpoint": self.address(record["path"]), "checkpoint.env_steps": record["step"]}
        self.pending[self.key(record)].tags |= tag_values(tags)

    def _trial_ended(self, record: Record) -> None:
        key = self.key(record)
        reason = {} if record.get("reason") is None else {"reason": record["reason"]}
        self.pending[key].tags |= tag_values({"outcome": record["outcome"], "env_steps": record["step"], **reason})
        describe(self, key, record, record["outcome"])
        self.send(key)
        self.client.set_terminated(self.found[key], MLFLOW_STATUS[record["outcome"]], record["at_ms"])

    def _discard(self, record: Record) -> None:
        key = run_key(record["trial"], record["draw"])
        self.pending.pop(key, None)
        run_id = self.found.pop(key, None)
        self.reports.pop(key, None)
        if run_id:
            delete_models_of(self, run_id)
            self.client.delete_run(run_id)
            self.position.run_ids.pop(key, None)

    # Runs and calls.

    def _ensure(self, key: str, tags: dict[str, str], start_ms: int) -> str:
        if key in self.found:
            return self.found[key]
        identity = {SWEEP_ID: self.position.sweep_id}
        # If the call fails, the run may exist: search for it before the next try.
        self.loaded = False
        run = self.client.create_run(self.position.experiment_id, start_time=start_ms, tags=identity | tags)
        self.loaded = True
        self.note(key, run.info.run_id)
        return str(run.info.run_id)

    def key(self, record: Record) -> str:
        key = run_key(record["trial"], record["draw"])
        self.id_of(key)
        return key

    def address(self, path: str) -> str:
        """Path or URI of a checkpoint. In the outbox, one within the sweep's folder has a relative path."""
        return path if is_uri(path) else str(self.sweep_folder / path)

    def metric(self, name: str, value: float, record: Record, model_id: str | None = None) -> Any:
        from mlflow.entities import Metric

        return Metric(name, value, record["at_ms"], record["step"], model_id=model_id)

    def send(self, key: str) -> None:
        batch = self.pending.pop(key, None)
        if batch is None:
            return
        run_id = self.id_of(key)
        metrics, params, tags = iter(batch.metrics), iter(batch.params.items()), iter(batch.tags.items())
        while True:
            some_metrics = list(islice(metrics, METRICS_PER_CALL - 2 * PARAMS_PER_CALL))
            some_params = [_param(*item) for item in islice(params, PARAMS_PER_CALL)]
            some_tags = [_tag(*item) for item in islice(tags, PARAMS_PER_CALL)]
            if not (some_metrics or some_params or some_tags):
                return
            self.client.log_batch(run_id, some_metrics, some_params, some_tags)


def _param(name: str, value: str) -> Any:
    from mlflow.entities import Param

    return Param(name, value)


def _tag(name: str, value: str) -> Any:
    from mlflow.entities import RunTag

    return RunTag(name, value)
