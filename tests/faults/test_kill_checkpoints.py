"""SIGKILL while the retention rule and the quota delete checkpoints and their models, then `tuneexp resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import Sweep, assert_whole

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("mlflow_tables")]

# The snapshot lacks the checkpoints that go, their files are deleted, and no record tells MLflow.
FILES_WITHOUT_RECORD = "tuneexp.tracking.callback:MLflowCallback.keep:before:3"
# In the delivering process: the files of a model are deleted, and the model is not.
MODEL_WITHOUT_FILES = "mlflow.tracking.client:MlflowClient.delete_logged_model:before:1"
QUOTA = "600kB"  # four checkpoints of 130 kB


def test_kills_between_the_deletion_of_files_and_models_leave_nothing_doubled_or_dangling(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "runs", trials=4, options=("--keep", "2", "--checkpoint-quota", QUOTA))
    sweep.kill_at(FILES_WITHOUT_RECORD)
    sweep.kill_at(MODEL_WITHOUT_FILES, fewest=2)
    result = sweep.finish()
    assert_whole(sweep, result)
    kept = [one for trial in result["trials"] for one in trial["checkpoints"]]
    assert 2 <= len(kept) <= 4
    assert result["best"]["checkpoint"] in [one["path"] for one in kept]
    _assert_models(sweep, result)
    assert sweep.finish() == result  # nothing is left to do
    _assert_models(sweep, result)


def _assert_models(sweep: Sweep, result: dict[str, Any]) -> None:
    """Check that each checkpoint is one complete model with its metrics, and that no other model or file is left."""
    (parent,), _, client = sweep.mlflow_runs()
    models = client.search_logged_models([parent.info.experiment_id])
    assert {str(model.status) for model in models} == {"READY"}
    wanted = [
        f"s-trial-{trial['trial_number']}-step-{one['env_steps']}"
        for trial in result["trials"]
        for one in trial["checkpoints"]
    ]
    assert sorted(model.name for model in models) == sorted(wanted)
    for model in models:
        assert "objective" in {metric.key for metric in model.metrics}
    folders = {path.parent for path in (sweep.storage / "mlartifacts").rglob("state.json")}
    assert folders == {Path(model.artifact_location.removeprefix("file://")) for model in models}
    outputs = [one.model_id for one in parent.outputs.model_outputs]
    assert outputs == [parent.data.tags["best.model_id"]]
