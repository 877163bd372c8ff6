"""Names, descriptions and text artifacts of the runs in MLflow. A user's changes are not overwritten."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from tuneexp.tracking.descriptions import NOTE, experiment_note, linked, note_tags
from tuneexp.tracking.naming import own_names, run_name
from tuneexp.tracking.outbox import Record
from tuneexp.tracking.outbox_records import run_key

if TYPE_CHECKING:
    from tuneexp.tracking.runs import Runs

_LISTED = 50  # sweeps in the description of an experiment


def initial_tags(runs: Runs, record: Record) -> dict[str, str]:
    """Initial tags of a run: origin, description and name."""
    name = _name(record) if "trial" in record else record["sweep"]
    note = note_tags({}, _linked(runs, record["note"])) if record.get("note") else {}
    return {**record.get("origin", {}), **note, "mlflow.runName": name}


def _name(record: Record) -> str:
    if "label" not in record:  # written by an older version
        return f"trial-{record['trial']:03d}"
    return run_name(record["trial"], record["label"])


def describe(runs: Runs, key: str, record: Record, outcome: str = "") -> None:
    """Add the name and the description in `record` to the next batch of the run `key`."""
    if not ("label" in record or record.get("note")):
        return  # written by an older version
    run = runs.client.get_run(runs.id_of(key))
    tags = runs.pending[key].tags
    if "label" in record and run.info.run_name in own_names(record["trial"], record["label"]):
        tags["mlflow.runName"] = run_name(record["trial"], record["label"], outcome)
    if record.get("note"):
        tags |= note_tags(run.data.tags, _linked(runs, record["note"]))


def _linked(runs: Runs, note: str) -> str:
    return linked(note, runs.found, runs.position.experiment_id)


def log_artifacts(runs: Runs, record: Record) -> None:
    """Upload the text artifacts and files of a record. Raises the artifact store's error."""
    for name, text in record.get("artifacts", {}).items():
        runs.client.log_text(runs.position.parent_run_id, text, name)
    for name, path in record.get("files", {}).items():
        if (file := runs.sweep_folder / path).is_file():
            runs.client.log_artifact(runs.position.parent_run_id, str(file), posixpath.dirname(name))


def try_to_log_artifacts(runs: Runs, record: Record) -> None:
    """Upload text artifacts; an error is logged, and the end of the sweep tries again. Reports must not wait for it."""
    try:
        log_artifacts(runs, record)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        runs.tell(f"MLflow's artifacts can't be stored yet ({why}); the sweep continues, and tries again at its end")


def describe_experiment(runs: Runs, record: Record) -> None:
    """List the ended sweeps in the experiment's description. A server may refuse that to users who don't own it."""
    from mlflow.exceptions import MlflowException

    if not record.get("env"):
        return
    experiment = runs.position.experiment_id
    rows = _ended_sweeps(runs)
    keys = {row["key"]: row["key"] for row in rows}
    text = linked(experiment_note(record["env"], rows), keys, experiment)
    tags = note_tags(dict(runs.client.get_experiment(experiment).tags), text)
    try:
        for name, value in sorted(tags.items(), key=lambda tag: tag[0] == NOTE):  # the digest first
            runs.client.set_experiment_tag(experiment, name, value)
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        runs.tell("the MLflow server refuses a change of this experiment's description; the sweep's runs are stored")


def _ended_sweeps(runs: Runs) -> list[dict[str, Any]]:
    parents = runs.client.search_runs(
        [runs.position.experiment_id], "tags.`tuneexp.kind` = 'sweep'", max_results=_LISTED,
        order_by=["attributes.start_time DESC"],
    )  # fmt: skip
    return [_row(run) for run in parents if any(name.startswith("trials/") for name in run.data.metrics)]


def _row(run: Any) -> dict[str, Any]:
    metrics = run.data.metrics
    best = metrics.get("best_objective")
    return {
        "key": run.info.run_id,
        "name": run.info.run_name,
        "algorithm": run.data.params.get("algorithm", ""),
        "best": "" if best is None else f"{best:.1f}",
        "trials": sum(int(count) for name, count in metrics.items() if name.startswith("trials/")),
    }


def interrupted_trials(record: Record) -> dict[str, Record]:
    """Run key -> the part of an interrupt's record about a trial that was running."""
    return {run_key(one["trial"], one["draw"]): one for one in record.get("trials", [])}
