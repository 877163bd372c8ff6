"""Logged models of the trials of a sweep, as the records of their kept checkpoints list them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tuneexp.tracking.checkpoint_models import (
    ENV_STEPS,
    MODEL_TYPE,
    SWEEP_ID,
    NotUploaded,
    delete_model,
    found_models,
    log_checkpoint,
    models_of_run,
)
from tuneexp.tracking.descriptions import NOTE, checkpoint_note
from tuneexp.tracking.naming import model_name
from tuneexp.tracking.outbox import Outbox, Record
from tuneexp.tracking.outbox_records import kept_in, reports_in, run_key
from tuneexp.tracking.store_errors import reason

if TYPE_CHECKING:
    from tuneexp.tracking.runs import Runs

log = logging.getLogger(__name__)

TRIAL, RANK, LAST = "tuneexp.trial_number", "tuneexp.rank", "tuneexp.last"


def log_kept(runs: Runs, record: Record) -> None:
    """Apply a record of kept checkpoints. If files can't be copied, the end of the sweep tries again: the reports of
    other trials must not wait for it."""
    try:
        match_models(runs, record)
        runs.reports.pop(run_key(record["trial"], record["draw"]), None)
    except NotUploaded as failure:
        log.warning("checkpoints of trial %s are not in MLflow yet: %s", record["trial"], failure)
        runs.tell(
            f"checkpoints of trial {record['trial']} can't be copied to MLflow yet ({reason(failure, '')}); "
            "the sweep continues, and tries again at its end"
        )


def match_models(runs: Runs, record: Record) -> None:
    """Make the logged models of a trial those that a record lists: log what is missing, delete the others."""
    key = runs.key(record)
    run_id, experiment_id = runs.found[key], runs.position.experiment_id
    known = models_of_run(runs.client, experiment_id, run_id)
    wanted = {str(one["step"]): one for one in record["checkpoints"]}
    ready: dict[str, Any] = {}
    for model in known:
        step = model.tags.get(ENV_STEPS)
        if step not in wanted:
            delete_model(runs.client, model)
        elif str(model.status) == "READY":
            ready[step] = model
    for step, one in wanted.items():
        if step in ready:
            _tag(runs.client, ready[step], _tags_of(one))
        else:
            _log(runs, record, one, run_id)


def match_all_models(runs: Runs) -> None:
    """Match the models of all trials of a sweep, and delete those of discarded runs. Called at its end."""
    entries = Outbox(runs.sweep_folder).read()[0]
    query = f"tags.`{SWEEP_ID}` = '{runs.position.sweep_id}' AND model_type = '{MODEL_TYPE}'"
    models = found_models(runs.client, runs.position.experiment_id, query)
    by_run: dict[str, list[str]] = {}
    for model in models:
        by_run.setdefault(model.source_run_id, []).append(f"{model.tags.get(ENV_STEPS)} {model.status}")
    for record in kept_in(entries):
        run_id = runs.found.get(run_key(record["trial"], record["draw"]))
        wanted = sorted(f"{one['step']} READY" for one in record["checkpoints"])
        if run_id is not None and sorted(by_run.get(run_id, [])) != wanted:
            match_models(runs, record)


def delete_models_of(runs: Runs, run_id: str) -> None:
    """Delete the models of a run that is discarded. MLflow alone keeps them."""
    for model in models_of_run(runs.client, runs.position.experiment_id, run_id):
        delete_model(runs.client, model)


def _log(runs: Runs, record: Record, one: Record, run_id: str) -> None:
    name, key = model_name(record["sweep"], record["trial"], one["step"]), run_key(record["trial"], record["draw"])
    checkpoint = runs.address(one["path"])
    tags = {
        SWEEP_ID: runs.position.sweep_id,
        "tuneexp.sweep": record["sweep"],
        TRIAL: str(record["trial"]),
        "tuneexp.files.checkpoint": checkpoint,
        NOTE: checkpoint_note(record["sweep"], record["trial"], one["step"], f"runs:/{run_id}/{name}"),
        **_tags_of(one),
    }
    report = _report_at(runs, record, one["step"])
    params = {**record["params"], **one.get("moved", {})}  # earlier versions did not write what moved

    def log_metrics(model_id: str) -> None:
        if report is not None:
            metrics = report["metrics"].items()
            runs.pending[key].metrics += [runs.metric(name, value, report, model_id) for name, value in metrics]
            runs.send(key)

    log_checkpoint(
        runs.client, runs.position.experiment_id, [run_id], name, one["step"], checkpoint, params, tags,
        log_metrics=log_metrics,
    )  # fmt: skip


def _tags_of(one: Record) -> dict[str, str]:
    return {RANK: str(one["rank"] or "none"), LAST: str(one["last"]).lower()}


def _tag(client: Any, model: Any, tags: dict[str, str]) -> None:
    if any(model.tags.get(name) != text for name, text in tags.items()):
        client.set_logged_model_tags(model.model_id, tags)


def _report_at(runs: Runs, record: Record, step: int) -> Record | None:
    """Return the report of a checkpoint. One that an earlier process has delivered is read from the outbox."""
    key = run_key(record["trial"], record["draw"])
    if step not in runs.reports[key]:
        for report in reports_in(Outbox(runs.sweep_folder).read()[0]).get(record["trial"], ()):
            runs.reports[run_key(report["trial"], report["draw"])].setdefault(report["step"], report)
    return runs.reports[key].get(step)
