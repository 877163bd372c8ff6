"""Checkpoints in MLflow, by addresses of runs and models.

A run stands for the logged model of its last step. A registered model stands for the logged model that its version was
made of."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneexp.errors import CheckpointError, UserError, nearest, shortened
from tuneexp.files.remote_folders import is_uri
from tuneexp.security.masking import masked
from tuneexp.tracking.store import check_store, has_store, open_client, tracking_uri, without_long_retries
from tuneexp.tracking.store_errors import check_sqlite, reason, short_patience

RUNS, MODELS = "runs:/", "models:/"
FORMS = "runs:/RUN_ID, runs:/RUN_ID/NAME, models:/NAME@ALIAS or models:/NAME/VERSION"
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_RUNS_COMPARED = 1000


@dataclass(frozen=True)
class Origin:
    """Origin of a checkpoint from MLflow.

    Args:
        address: as the user wrote it.
        experiment_id: of its run.
        run_id: of the run that made it.
        model_id: of its logged model; None: it is an artifact of the run, or a path that the run names.
    """

    address: str
    experiment_id: str
    run_id: str
    model_id: str | None


def is_in_mlflow(address: str) -> bool:
    """Return True for an address of a run or a model of MLflow."""
    return address.startswith((RUNS, MODELS))


def fetch_checkpoint(address: str, storage: str | Path, folder: Path) -> tuple[str, Origin]:
    """Download a checkpoint.

    Args:
        address: `runs:/...` or `models:/...`.
        storage: Folder of the MLflow store, unless MLFLOW_TRACKING_URI names another.
        folder: Empty folder for the download.

    Returns:
        Path or URI of the checkpoint, and its origin.

    Raises:
        UserError: The store can't be used, or it has no such checkpoint.
    """
    check_store()
    if not has_store(storage):
        raise UserError(
            f"{address} is in MLflow, and there is no MLflow store in {storage}; set MLFLOW_TRACKING_URI to the server "
            "that has it, or --storage to its folder"
        )
    uri = tracking_uri(storage)
    with short_patience(), _reasons(uri):
        check_sqlite(uri)
        without_long_retries()
        found = _Lookup(open_client(storage), address, masked(uri)).found()
        if found.path is not None:
            return found.path, found.origin
        _refuse_local_files(found.artifacts, uri)
        from mlflow.artifacts import download_artifacts

        return str(download_artifacts(found.artifacts, dst_path=str(folder), tracking_uri=uri)), found.origin


@contextmanager
def _reasons(uri: str) -> Iterator[None]:
    """Raise errors of MLflow as `UserError` with the variable to set."""
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        raise UserError(f"MLflow: {reason(error, uri)}") from error


@dataclass(frozen=True)
class _Found:
    """A checkpoint in MLflow. artifacts: URI of its files; path: its place outside of MLflow, if it is not there."""

    origin: Origin
    artifacts: str = ""
    path: str | None = None


class _Lookup:
    """Search for the checkpoint of an address. store: for messages."""

    def __init__(self, client: Any, address: str, store: str) -> None:
        self._client, self._address, self._store = client, address, store

    def found(self) -> _Found:
        return self._of(self._address)

    def _of(self, address: str) -> _Found:
        if address.startswith(RUNS):
            run_id, _, name = address.removeprefix(RUNS).strip("/").partition("/")
            return self._of_run(run_id, name)
        model = address.removeprefix(MODELS).strip("/")
        return self._of_logged_model(model) if _MODEL_ID.fullmatch(model) else self._of_registered(model)

    def _of_logged_model(self, model_id: str) -> _Found:
        model = self._logged_model(model_id)
        if model is None:
            raise self._nothing(f"no logged model {model_id!r}")
        origin = Origin(self._address, model.experiment_id, model.source_run_id or "", model_id)
        return _Found(origin, model.artifact_location)

    def _of_registered(self, named: str) -> _Found:
        name, at, alias = named.rpartition("@")
        if not at:
            name, _, alias = named.partition("/")
        registered = self._get(lambda: self._client.get_registered_model(name)) if name else None
        if registered is None:
            others = self._client.search_registered_models(max_results=_RUNS_COMPARED)
            known = [named.replace(name, model.name, 1) if name else model.name for model in others]
            raise self._nothing(f"no registered model {shortened(name)}", named, known, MODELS)
        versions = [str(one.version) for one in self._client.search_model_versions(f"name='{name}'")]
        if at:
            version = registered.aliases.get(alias)
            known, what = [f"{name}@{other}" for other in registered.aliases], f"no alias {alias!r} of model {name!r}"
        else:
            version = max(versions, key=int, default=None) if alias == "latest" else alias
            known, what = [f"{name}/{one}" for one in sorted(versions, key=int)], f"no version {alias!r} of {name!r}"
        if version is None or str(version) not in versions:
            raise self._nothing(what, named, known, MODELS)
        return self._of_version(self._client.get_model_version(name, str(version)))

    def _of_version(self, version: Any) -> _Found:
        source = str(version.source)
        if is_in_mlflow(source):
            return self._of(source)
        run = self._get(lambda: self._client.get_run(version.run_id)) if version.run_id else None
        experiment = run.info.experiment_id if run is not None else ""
        return _Found(Origin(self._address, experiment, version.run_id or "", None), source)

    def _of_run(self, run_id: str, name: str) -> _Found:
        run = self._get(lambda: self._client.get_run(run_id)) if run_id else None
        if run is None:
            raise self._nothing(f"no run {shortened(run_id)}", run_id, self._run_ids(), RUNS)
        origin = Origin(self._address, run.info.experiment_id, run_id, None)
        models = self._models_of(run)
        if name:
            own = [model for model in models if name in (model.name, model.model_id)]
            if not own and self._client.list_artifacts(run_id, name):
                return _Found(origin, f"{RUNS}{run_id}/{name}")
            if not own:
                known = [f"{run_id}/{model.name}" for model in models]
                raise self._nothing(f"no model {name!r} of the run {run_id}", f"{run_id}/{name}", known, RUNS)
            models = own
        if models:
            return self._of_logged_model(models[-1].model_id)
        return self._named_by(run, origin)

    def _models_of(self, run: Any) -> list[Any]:
        """Return the logged models of a run, in the order of their steps, without deleted ones.

        The last one of a sweep's run is its best, which may have been another one before an extension."""
        outputs, best = run.outputs.model_outputs if run.outputs is not None else [], run.data.tags.get("best.model_id")
        ordered = sorted(outputs, key=lambda one: (one.model_id == best, one.step))
        ids = list(dict.fromkeys(one.model_id for one in ordered))
        found = [self._logged_model(model_id) for model_id in ids]
        return [model for model in found if model is not None and str(model.status) == "READY"]

    def _logged_model(self, model_id: str) -> Any:
        return self._get(lambda: self._client.get_logged_model(model_id))

    def _named_by(self, run: Any, origin: Origin) -> _Found:
        """Return the checkpoint that a run names by a tag, if it is still there."""
        path = run.data.tags.get("checkpoint", "")
        if path and (is_uri(path) or os.path.isdir(path)):
            return _Found(origin, path=path)
        has_ended = run.data.tags.get("tuneexp.kind") != "sweep" or run.info.status != "RUNNING"
        why = f"its files are not in MLflow, and not here: {path}" if path else "MLflow has none"
        advice = "models are logged when a trial ends" if has_ended else "its sweep has not ended"
        raise CheckpointError(f"the run {origin.run_id} has no checkpoint: {why}; {advice}")

    def _run_ids(self) -> Iterable[str]:
        experiments = [one.experiment_id for one in self._client.search_experiments(max_results=_RUNS_COMPARED)]
        return [run.info.run_id for run in self._client.search_runs(experiments, max_results=_RUNS_COMPARED)]

    def _get(self, call: Callable[[], Any]) -> Any:
        """Return the result of a call; None if there is no such thing."""
        from mlflow.exceptions import MlflowException

        try:
            return call()
        except MlflowException as error:
            if error.error_code in _MISSING:
                return None
            raise

    def _nothing(self, what: str, named: str = "", known: Iterable[str] = (), prefix: str = "") -> UserError:
        names = list(known)
        match = next((one for one in names if named and one.startswith(named)), None) or nearest(named, names)
        advice = f"did you mean {prefix}{match}?" if match else f"write {FORMS}"
        return UserError(f"{self._store} has {what}; {advice}")


def _refuse_local_files(artifacts: str, uri: str) -> None:
    """Refuse files of this machine that a server names."""
    is_local = artifacts.startswith("file:") or not re.match(r"[\w.+-]+:", artifacts)
    if is_local and uri.startswith(("http:", "https:")):
        raise UserError(f"{masked(uri)} keeps this checkpoint in its own folder {artifacts}, which can't be downloaded")
