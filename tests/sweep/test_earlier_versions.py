"""Sweep folders of an earlier version still resume."""

from __future__ import annotations

import json
import re
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tuneexp.errors import UserError
from tuneexp.sweep import SweepEvent, load_study, resume

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.usefixtures("ray_cluster", "mlflow_tables")]

LEFT = Path(__file__).parents[1] / "fixtures" / "format_2" / "left.tar.xz"
CHECKPOINTED_ENV_STEPS = 4032  # of trial 1, in the snapshot
HEX_PICKLE = re.compile(rb"\b8004[0-9a-f]{20,}\b")


def pickled_names(snapshot: Path) -> set[bytes]:
    """Modules of this package that the pickles of a snapshot name, including those in Tune's JSON."""
    found: set[bytes] = set()
    with zipfile.ZipFile(snapshot) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            nested = [bytes.fromhex(match.decode()) for match in HEX_PICKLE.findall(data)]
            for one in [data, *nested]:
                found |= set(re.findall(rb"tuneexp\.[\w.]+", one))
    return found


def test_a_sweep_that_an_earlier_version_left_is_resumed_to_its_end(tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    with tarfile.open(LEFT) as archive:
        archive.extractall(storage, filter="data")
    folder = storage / "left"
    assert pickled_names(folder / "snapshot.zip") == {b"tuneexp.sweep.engine"}
    with pytest.raises(UserError, match="signed"):
        resume("left", storage)

    reports: dict[int, list[int]] = defaultdict(list)

    def note(event: SweepEvent) -> None:
        if event.kind == "report":
            reports[event.trial_number].append(event.env_steps)

    result = resume("left", storage, on_event=note, trust=True)

    assert [trial.trial_number for trial in sorted(result.trials, key=lambda one: one.trial_number)] == [*range(6)]
    trials = {trial.trial_number: trial for trial in result.trials}
    assert {trial.outcome for trial in trials.values()} <= {"completed", "pruned"}
    assert (trials[0].outcome, trials[0].objective, trials[0].env_steps) == ("pruned", 51.0, 3200)
    assert 0 not in reports
    assert min(reports[1]) > CHECKPOINTED_ENV_STEPS
    assert all(steps == sorted(set(steps)) for steps in reports.values())  # each step once
    logged = [json.loads(line) for line in (folder / "suggestions.jsonl").read_text().split("\n") if line]
    assert [entry["number"] for entry in logged] == [*range(6)]
    for entry in logged[:3]:
        assert entry["params"].items() <= trials[entry["number"]].config.items()
    assert [trial.number for trial in load_study("left", storage).trials] == [*range(6)]

    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    for number, trial in trials.items():
        history = client.get_metric_history(trial.mlflow_run_id, "objective")
        steps = [metric.step for metric in history]
        assert steps == sorted(set(steps))
        assert (steps[-1], history[-1].value) == (trial.env_steps, trial.objective), number

    assert pickled_names(folder / "snapshot.zip") == set()  # nothing of ours, so that modules may move
