"""Checkpoints as logged models of MLflow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tuneexp.files.remote_folders import is_there, local_copy
from tuneexp.tracking.values import flat_params

MODEL_TYPE = "tuneexp checkpoint"
ENV_STEPS = "tuneexp.env_steps"
SWEEP_ID = "tuneexp.sweep_id"  # tag of all that is made for a sweep


class NotUploaded(Exception):
    """The files of a checkpoint could not be copied to MLflow. Its cause is the error of the storage."""


def models_of_run(client: Any, experiment_id: str, run_id: str, step: int | None = None) -> list[Any]:
    """Return the checkpoints of a run that are logged models, also incomplete ones.

    Args:
        client: `MlflowClient`.
        experiment_id: of the run.
        run_id: of the run that made the checkpoints.
        step: environment steps per seed; None: of all steps.
    """
    # Known by run and step: the address of a checkpoint changes with a storage that is moved.
    query = f"source_run_id = '{run_id}' AND model_type = '{MODEL_TYPE}'"
    return found_models(client, experiment_id, query if step is None else f"{query} AND tags.`{ENV_STEPS}` = '{step}'")


def found_models(client: Any, experiment_id: str, query: str) -> list[Any]:
    """Return all logged models of an experiment that match a query."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = client.search_logged_models([experiment_id], filter_string=query, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def log_checkpoint(
    client: Any,
    experiment_id: str,
    run_ids: Sequence[str],
    name: str,
    step: int,
    checkpoint: str | Path,
    params: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
    also: Path | None = None,
    log_metrics: Callable[[str], object] | None = None,
) -> str | None:
    """Log a checkpoint as a model with its step. A model of the same run and step is completed, not logged again.

    Args:
        client: `MlflowClient`.
        experiment_id: of the runs.
        run_ids: the run that made the checkpoint, and others that the model is an output of.
        name: of the model.
        step: environment steps per seed.
        checkpoint: path or URI.
        params: hyperparameters.
        tags: further tags of a new model.
        also: folder of further files beside those of the checkpoint, such as a pyfunc model.
        log_metrics: function of the model's id that logs its metrics, before the model is complete.

    Returns:
        The id of the model; None if the files are gone. An incomplete model without files is deleted.

    Raises:
        NotUploaded: The files can't be copied.
    """
    known, *doubled = models_of_run(client, experiment_id, run_ids[0], step) or [None]
    for other in doubled:  # a reply was lost
        delete_model(client, other)
    is_ready = known is not None and str(known.status) == "READY"
    if not is_ready and not _is_there(checkpoint):
        if known is not None:
            delete_model(client, known)
        return None
    model = known or client.create_logged_model(
        experiment_id, name=name, source_run_id=run_ids[0], tags={**(tags or {}), ENV_STEPS: str(step)},
        params=flat_params(params), model_type=MODEL_TYPE,
    )  # fmt: skip
    if not is_ready:
        _upload(client, model, checkpoint)
        if log_metrics is not None:
            log_metrics(str(model.model_id))
    if also is not None:
        client.log_model_artifacts(model.model_id, str(also))
    for run_id in run_ids if not is_ready else run_ids[1:]:
        _add_output(client, run_id, model, step, is_new=known is None)
    if not is_ready:
        client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def delete_model(client: Any, model: Any) -> None:
    """Delete a model and its files. MLflow alone keeps the files until `mlflow gc`."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # First the files: a model that is deleted is not found again after a kill.
    with suppress(FileNotFoundError):
        get_artifact_repository(model.artifact_location, tracking_uri=client.tracking_uri).delete_artifacts()
    client.delete_logged_model(model.model_id)


def _is_there(checkpoint: str | Path) -> bool:
    try:
        return is_there(checkpoint)
    except Exception as error:
        raise NotUploaded(str(error)) from error


def _upload(client: Any, model: Any, checkpoint: str | Path) -> None:
    """Copy the files to MLflow; those of an object store pass through a temporary copy."""
    try:
        with local_copy(checkpoint) as folder:
            target = _folder_of(model.artifact_location)
            if target is None:
                client.log_model_artifacts(model.model_id, str(folder))
            else:
                shutil.copytree(folder, target, copy_function=_link, dirs_exist_ok=True)
    except Exception as error:
        raise NotUploaded(str(error)) from error


def _folder_of(location: str) -> Path | None:
    """Return the local folder of a model's files; None if they are elsewhere."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    is_local = location.startswith(("file:", "/"))
    return Path(local_file_uri_to_path(location)) if is_local else None


def _link(source: str, target: str) -> None:
    """Link a file, so that it takes no room on the disk; copy it on another file system. Checkpoints never change."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _add_output(client: Any, run_id: str, model: Any, step: int, is_new: bool) -> None:
    """Add a model to the outputs of a run. MLflow would list it twice."""
    from mlflow.entities import LoggedModelOutput

    if not is_new:
        outputs = client.get_run(run_id).outputs
        if outputs is not None and model.model_id in [one.model_id for one in outputs.model_outputs]:
            return
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=step)])
