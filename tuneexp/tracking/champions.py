"""Winner of a confirmation as a registered model of MLflow with the alias `champion`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tuneexp.tracking.checkpoint_models import SWEEP_ID
from tuneexp.tracking.values import tag_values

ALIAS = "champion"
# Answers of a store that has no registered models, or none for this user. Other errors are retried.
_REFUSED = {
    "PERMISSION_DENIED", "FEATURE_DISABLED", "ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST", "RESOURCE_LIMIT_EXCEEDED",
}  # fmt: skip


def register(
    client: Any, uri: str, sweep_id: str, champion: Mapping[str, Any], model_id: str, tell: Callable[[str], None]
) -> str:
    """Register a logged model and give it the alias. Idempotent: a model has one version.

    Args:
        client: `MlflowClient`.
        uri: Address of its store.
        sweep_id: Id of the sweep, whose registered model is used again.
        champion: `name`, `description`, `about` (description of the registered model) and `tags`.
        model_id: Id of the logged model.
        tell: Function that shows a warning.

    Returns:
        The name of the registered model; "" if the store refuses it.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(uri)  # the store resolves the source with it
    try:
        name = _registered_model(client, champion, sweep_id)
        client.set_registered_model_alias(name, ALIAS, _version(client, name, champion, model_id))
    except MlflowException as error:
        if error.error_code not in _REFUSED:
            raise
        why = " ".join(str(error).split())[:200]
        tell(
            f"the winner is not registered as {ALIAS} ({why}); to repeat it, in Python: "
            f"mlflow.register_model('models:/{model_id}', {champion['name']!r})"
        )
        return ""
    return name


def _registered_model(client: Any, champion: Mapping[str, Any], sweep_id: str) -> str:
    """Return the name of the registered model of a sweep, which is created if it is missing.

    If another sweep has one of this name, it is `NAME-2`."""
    from mlflow.exceptions import MlflowException

    name, number = champion["name"], 1
    while True:
        try:
            known = client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_registered_model(name, tags={SWEEP_ID: sweep_id}, description=champion["about"])
            return str(name)
        if known.tags.get(SWEEP_ID) == sweep_id:
            return str(name)
        number += 1
        name = f"{champion['name']}-{number}"


def _version(client: Any, name: str, champion: Mapping[str, Any], model_id: str) -> str:
    source = f"models:/{model_id}"
    known = [one for one in client.search_model_versions(f"name='{name}'") if one.source == source]
    made = known[0] if known else client.create_model_version(
        name, source=source, run_id=client.get_logged_model(model_id).source_run_id, model_id=model_id,
        description=champion["description"], tags=tag_values(champion["tags"]),
    )  # fmt: skip
    return str(made.version)
