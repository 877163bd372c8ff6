"""Run in MLflow of a training that continues a checkpoint from there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuneexp.tracking.checkpoint_models import log_checkpoint
from tuneexp.tracking.naming import entity_label
from tuneexp.tracking.origin import origin_tags
from tuneexp.tracking.reports import metrics_of
from tuneexp.tracking.runs import PARAMS_PER_CALL
from tuneexp.tracking.store import open_client, tracking_uri
from tuneexp.tracking.store_errors import reason, short_patience
from tuneexp.tracking.stored_models import Origin
from tuneexp.tracking.values import flat_params, tag_values

log = logging.getLogger(__name__)


class ContinuedRun:
    """Run of a training, linked to its origin by the tags `tuneexp.origin`, `.origin.run_id` and `.origin.model_id`.

    Each call waits for the store. A store that fails ends the logging with a warning, and the training continues.

    Args:
        origin: of the checkpoint.
        storage: folder of the store, unless MLFLOW_TRACKING_URI names another.
        name: of the run.
        about: tags, such as the algorithm.
        params: hyperparameters.

    Attributes:
        run_id: None if the run could not be created.
    """

    run_id: str | None = None

    def __init__(
        self, origin: Origin, storage: str | Path, name: str, about: Mapping[str, Any], params: Mapping[str, Any]
    ) -> None:
        self._origin, self._storage, self._name, self._params = origin, storage, name, dict(params)
        tags = {
            "tuneexp.kind": "training",
            "tuneexp.origin": origin.address,
            "tuneexp.origin.run_id": origin.run_id,
            "tuneexp.origin.model_id": origin.model_id or "",
            "mlflow.note.content": f"Continues the checkpoint `{origin.address}`.",
            **about,
            **origin_tags(),
        }
        self._works = True
        self._try(lambda: self._create(tag_values({key: value for key, value in tags.items() if value != ""})))

    def _create(self, tags: dict[str, str]) -> None:
        from mlflow.entities import Param

        self._client = open_client(self._storage)
        experiment = self._origin.experiment_id or "0"  # the default one
        run = self._client.create_run(experiment, run_name=self._name, tags=tags)
        self._experiment_id, self.run_id = experiment, run.info.run_id
        params = [Param(name, value) for name, value in flat_params(self._params).items()]
        self._client.log_batch(self.run_id, params=params[:PARAMS_PER_CALL])

    def report(self, result: Mapping[str, Any]) -> None:
        """Log the metrics of a report."""
        self._at_ms = int(time.time() * 1000)
        self._try(lambda: self._client.log_batch(self.run_id, self._metrics(result)))

    def _metrics(self, result: Mapping[str, Any], model_id: str | None = None) -> list[Any]:
        from mlflow.entities import Metric

        # A metric that is logged again with its time, for the model, replaces the first one.
        given, step = metrics_of(result)[0], int(result["env_steps"])
        return [Metric(name, value, self._at_ms, step, model_id=model_id) for name, value in given.items()]

    def end(self, checkpoint: Path, result: Mapping[str, Any]) -> None:
        """Log the checkpoint of the last report as a model, and end the run."""
        self._try(lambda: self._end(checkpoint, result))

    def _end(self, checkpoint: Path, result: Mapping[str, Any]) -> None:
        name, step = entity_label(self._name), int(result["env_steps"])
        log_checkpoint(
            self._client, self._experiment_id, [str(self.run_id)], name, step, checkpoint, self._params,
            log_metrics=lambda model_id: self._client.log_batch(self.run_id, self._metrics(result, model_id)),
        )  # fmt: skip
        self._client.set_terminated(self.run_id, "FINISHED")

    def __enter__(self) -> ContinuedRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """End the run of a training that is stopped (KILLED) or fails (FAILED)."""
        if kind is not None:
            status = "FAILED" if issubclass(kind, Exception) else "KILLED"
            self._try(lambda: self._client.set_terminated(self.run_id, status))

    def _try(self, call: Callable[[], Any]) -> None:
        if not self._works:
            return
        try:
            with short_patience():
                call()
        except Exception as error:
            self._works = False
            why = reason(error, tracking_uri(self._storage))
            log.warning("MLflow: %s (the training continues, and its further results are not logged)", why)
