"""Winners of confirmations as registered models of a real MLflow store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from tests.tracking.helpers import Store
from tuneexp import load_policy
from tuneexp.sweep.exporting import write_model
from tuneexp.tracking.champions import register
from tuneexp.tracking.checkpoint_models import log_checkpoint

CHECKPOINT = Path(__file__).parents[1] / "fixtures" / "format_2" / "sac_episodes"
WINNER: dict[str, Any] = {
    "name": "first",
    "about": "Winners.",
    "description": "204 (190 to 210)",
    "tags": {"seed": "3"},
}


@pytest.fixture
def logged(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of two logged models, the first with a pyfunc model beside its checkpoint."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    monkeypatch.setattr(mlflow, "set_tracking_uri", lambda uri: None)  # of the whole process
    write_model(tmp_path / "policy_model", load_policy(CHECKPOINT))
    client = store.client
    experiment = client.create_experiment("env", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    also = {1: tmp_path / "policy_model"}
    return [log_checkpoint(client, experiment, [run], "best", step, CHECKPOINT, {}, None, also.get(step))
            for step in (1, 2)]  # fmt: skip


def test_a_champion_is_one_version_that_can_be_loaded_served_and_trained_on(store: Store, logged: list[str]) -> None:
    client, said = store.client, list[str]()
    for _ in range(2):  # a delivery that is repeated
        assert register(client, store.uri, "id", WINNER, logged[0], said.append) == "first"
    (version,) = client.search_model_versions("name='first'")
    assert (version.description, version.tags) == ("204 (190 to 210)", {"seed": "3"})
    assert _champion(client) == "1"
    policy = load_policy("models:/first@champion")
    obs = np.stack([policy.observation_space.sample() for _ in range(3)])
    served = mlflow.pyfunc.load_model("models:/first@champion")
    assert np.allclose(served.predict(obs.tolist()), policy(obs), atol=1e-5)
    register(client, store.uri, "id", WINNER, logged[1], said.append)  # a later confirmation of the sweep
    assert _champion(client) == "2"
    assert register(client, store.uri, "another", WINNER, logged[1], said.append) == "first-2"
    assert not said
    assert register(client, store.uri, "id", {**WINNER, "name": "a/b"}, logged[0], said.append) == ""
    assert f"mlflow.register_model('models:/{logged[0]}', 'a/b')" in said[0]


def _champion(client: Any) -> str:
    return str(client.get_registered_model("first").aliases["champion"])
