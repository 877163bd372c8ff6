"""End of a sweep in its parent run: the table of trials, counts of outcomes, the best trial's checkpoint."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.files.remote_folders import is_uri, local_copy
from tuneexp.tracking.description_writer import describe, describe_experiment, log_artifacts
from tuneexp.tracking.outbox import Record
from tuneexp.tracking.outbox_records import PARENT, run_key
from tuneexp.tracking.values import flat_params, tag_values

if TYPE_CHECKING:
    from tuneexp.tracking.runs import Runs

MODEL_TYPE = "tuneexp checkpoint"


def write_summary(runs: Runs, record: Record) -> None:
    """Apply the record of a sweep's end."""
    # A run whose creation timed out may have been created late: loading again deletes such duplicates.
    runs.loaded = False
    runs.load()
    runs.pending[PARENT].metrics += [runs.metric(name, value, record) for name, value in record["metrics"].items()]
    runs.pending[PARENT].tags |= tag_values(record["tags"])
    _log_table(runs, record["rows"])
    if record.get("best"):
        runs.pending[PARENT].tags |= _log_best(runs, record["best"])
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


def _log_best(runs: Runs, best: Record) -> dict[str, str]:
    """Upload the best trial's checkpoint. Returns tags of the parent that name that trial."""
    run_id = runs.found.get(run_key(best["trial"], best["draw"]))
    if run_id is None:  # a user deleted it
        return {}
    tags = {"best.trial_number": str(best["trial"]), "best.run_id": run_id}
    checkpoint = runs.address(best["checkpoint"]) if best["checkpoint"] else ""
    if checkpoint and (is_uri(checkpoint) or Path(checkpoint).is_dir()):
        tags["best.model_id"] = _log_model(runs, best, run_id, checkpoint)
    return tags


def _log_model(runs: Runs, best: Record, run_id: str, checkpoint: str) -> str:
    """Log the checkpoint as a model of MLflow 3, with its step and metrics. Returns the model's id."""
    from mlflow.entities import LoggedModelOutput

    client, experiment_id = runs.client, runs.position.experiment_id
    # Known by its run and step: the checkpoint's address changes with a storage that is moved.
    tags = {
        "tuneexp.sweep_id": runs.position.sweep_id,
        "tuneexp.files.checkpoint": checkpoint,
        "tuneexp.env_steps": str(best["step"]),
    }
    query = f"source_run_id = '{run_id}' AND tags.`tuneexp.env_steps` = '{best['step']}'"
    known = client.search_logged_models([experiment_id], filter_string=query)
    model = known[0] if known else None
    if model is None:
        model = client.create_logged_model(
            experiment_id, name=best["name"], source_run_id=run_id, tags=tags,
            params=flat_params(best["params"]), model_type=MODEL_TYPE,
        )  # fmt: skip
    if str(model.status) != "READY":
        with local_copy(checkpoint) as folder:
            client.log_model_artifacts(model.model_id, str(folder))
        # Also an output of the parent, whose page is the sweep's.
        for source in (run_id, runs.position.parent_run_id):
            client.log_outputs(source, [LoggedModelOutput(model.model_id, step=best["step"])])
        client.finalize_logged_model(model.model_id, "READY")
    batch = runs.pending[run_key(best["trial"], best["draw"])]
    batch.metrics += [runs.metric(name, value, best, model.model_id) for name, value in best["metrics"].items()]
    return str(model.model_id)
