"""End of a sweep in its parent run: the table of trials, counts of outcomes, the best trial's checkpoint."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.tracking.champions import register
from tuneexp.tracking.checkpoint_models import SWEEP_ID, log_checkpoint
from tuneexp.tracking.delivery_process import mlflow_ids
from tuneexp.tracking.description_writer import describe, describe_experiment, log_artifacts
from tuneexp.tracking.kept_models import match_all_models
from tuneexp.tracking.outbox import Record
from tuneexp.tracking.outbox_records import PARENT, run_key
from tuneexp.tracking.store import outermost, storage_of, tracking_uri
from tuneexp.tracking.values import tag_values

if TYPE_CHECKING:
    from tuneexp.tracking.runs import Runs


def write_summary(runs: Runs, record: Record) -> None:
    """Apply the record of a sweep's end."""
    # A run whose creation timed out may have been created late: loading again deletes such duplicates.
    runs.loaded = False
    runs.load()
    runs.pending[PARENT].metrics += [runs.metric(name, value, record) for name, value in record["metrics"].items()]
    runs.pending[PARENT].tags |= tag_values(record["tags"])
    _log_table(runs, record["rows"])
    match_all_models(runs)
    if record.get("best"):
        runs.pending[PARENT].tags |= _log_best(runs, record["best"], record.get("champion"))
    for key, tags in record.get("marks", ()):
        if key in runs.found:
            runs.pending[key].tags |= tag_values(tags)
    log_artifacts(runs, record)
    describe(runs, PARENT, record)
    runs.send(PARENT)
    describe_experiment(runs, record)
    runs.client.set_terminated(runs.position.parent_run_id, record["status"], record["at_ms"])


def _log_table(runs: Runs, rows: list[dict[str, Any]]) -> None:
    """Log the trials as `trials.csv`, and as `trials.json`, a table in MLflow's UI (`mlflow.load_table`)."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = [[row.get(name) for name in columns] for row in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *data])
    run_id = runs.position.parent_run_id
    runs.client.log_text(run_id, text.getvalue(), "trials.csv")
    runs.client.log_text(run_id, json.dumps({"columns": columns, "data": data}), "trials.json")
    runs.pending[PARENT].tags["mlflow.loggedArtifacts"] = json.dumps([{"path": "trials.json", "type": "table"}])


def _log_best(runs: Runs, best: Record, champion: Record | None) -> dict[str, str]:
    """Upload the best trial's checkpoint, and register it if it is a champion. Returns tags of the parent that name
    that trial."""
    run_id = runs.found.get(run_key(best["trial"], best["draw"]))
    if run_id is None:  # a user deleted it
        return {}
    tags = {"best.trial_number": str(best["trial"]), "best.run_id": run_id}
    files = runs.sweep_folder / champion["files"] if champion and champion["files"] else None
    if best["checkpoint"] and (model_id := _log_model(runs, best, run_id, files)) is not None:
        tags["best.model_id"] = model_id
        if champion:
            sweep_id = mlflow_ids(outermost(runs.sweep_folder)).sweep_id or runs.position.sweep_id
            uri = tracking_uri(storage_of(runs.sweep_folder))
            runs.position.champion = register(runs.client, uri, sweep_id, champion, model_id, runs.tell)
    return tags


def _log_model(runs: Runs, best: Record, run_id: str, also: Path | None) -> str | None:
    """Log the checkpoint as a model with its metrics, unless it is one. Returns the id; None if the files are gone."""
    # Also an output of the parent, whose page is the sweep's.
    owners, checkpoint = [run_id, runs.position.parent_run_id], runs.address(best["checkpoint"])
    tags = {SWEEP_ID: runs.position.sweep_id, "tuneexp.files.checkpoint": checkpoint}
    key = run_key(best["trial"], best["draw"])

    def log_metrics(model_id: str) -> None:
        runs.pending[key].metrics += [
            runs.metric(name, value, best, model_id) for name, value in best["metrics"].items()
        ]
        runs.send(key)

    return log_checkpoint(
        runs.client, runs.position.experiment_id, owners, best["name"], best["step"], checkpoint, best["params"], tags,
        also if also is not None and also.is_dir() else None, log_metrics,
    )  # fmt: skip
