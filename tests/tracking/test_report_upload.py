"""Reports as artifacts of the sweep's run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking.helpers import Store
from tuneexp.tracking.outbox import Position, save_position
from tuneexp.tracking.report_upload import log_report
from tuneexp.tracking.store import artifact_root


def test_a_report_is_an_artifact_of_the_sweeps_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = store.client.create_experiment("CartPole-v1", artifact_location=artifact_root(tmp_path))
    run_id = store.client.create_run(experiment).info.run_id
    page, table = tmp_path / "page.html", tmp_path / "page" / "trials.csv"
    table.parent.mkdir()
    page.write_text("page")
    table.write_text("table")
    (table.parent / "of-the-user.txt").touch()
    folder = tmp_path / "first"
    (folder / "outbox").mkdir(parents=True)
    assert log_report(tmp_path, "first", page, [table]) == "nothing of the sweep has reached it yet"
    delivered = Position(store=store.uri, experiment_id=experiment, parent_run_id=run_id)
    save_position(folder, delivered)
    assert log_report(tmp_path, "first", page, [table]) is None
    there = [one.path for one in store.client.list_artifacts(run_id, "report")]
    assert sorted(there) == ["report/page", "report/page.html"]
    assert [one.path for one in store.client.list_artifacts(run_id, "report/page")] == ["report/page/trials.csv"]
    server = "http://127.0.0.1:9"  # nothing answers there
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert "has no run of this sweep" in str(log_report(tmp_path, "first", page, [table]))
    # Another run: MLflow remembers where artifacts of the first one are.
    save_position(folder, replace(delivered, store=server, parent_run_id="f" * 32))
    assert str(log_report(tmp_path, "first", page, [table])).startswith("no answer from http://127.0.0.1:9")
