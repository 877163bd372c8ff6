"""TensorBoard logs, read back by TensorBoard: each report once, whatever was killed."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tuneexp.tracking import outbox_records as records
from tuneexp.tracking.outbox import Outbox
from tuneexp.tracking.outbox_records import record
from tuneexp.tracking.tensorboard import TensorBoardLogs, TrainingLogs, logs_written, trial_folder


def started(trial: int, draw: int = 0, rate: float = 0.001, **more: Any) -> dict[str, Any]:
    params = {"learning_rate": rate, "model/activation": "tanh", "hidden_sizes": [8, 8], "gsde": True}
    label = f"learning_rate={rate:.3g} activation=tanh"
    return record(records.TRIAL_STARTED, trial=trial, draw=draw, sweep="s", params=params, label=label, **more)


def reported(trial: int, *steps: int, draw: int = 0) -> list[dict[str, Any]]:
    return [
        record(records.REPORTED, trial=trial, draw=draw, step=step, metrics={"objective": step / 2}, tags={})
        for step in steps
    ]


def ended(trial: int, step: int, outcome: str = "completed") -> dict[str, Any]:
    return record(records.TRIAL_ENDED, trial=trial, draw=0, step=step, outcome=outcome, reason=None)


def append(sweep: Path, *entries: dict[str, Any]) -> None:
    outbox = Outbox(sweep)
    for entry in entries:
        outbox.append(entry)
    outbox.close()


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def points(sweep: Path) -> dict[str, list[int]]:
    """Steps of the objective by folder, as TensorBoard reads them."""
    return {
        path.name: [event.step for event in read(path).Scalars("objective")]
        for path in sorted((sweep / "tensorboard").iterdir())
    }


NAMES = [trial_folder(number, "learning_rate=0.001 activation=tanh") for number in range(3)]


def test_each_trial_has_a_folder_with_its_reports_and_hyperparameters(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    append(tmp_path, started(0), *reported(0, 100, 200), ended(0, 200))
    logs = TensorBoardLogs(tmp_path)
    logs.update()
    append(tmp_path, started(1), *reported(1, 100))
    logs.update()
    assert points(tmp_path) == {NAMES[0]: [100, 200], NAMES[1]: [100]}  # also of a trial that runs
    assert NAMES[0] == "000,learning_rate=0.001,activation=tanh"
    found = read(tmp_path / "tensorboard" / NAMES[0])
    assert [event.value for event in found.Scalars("objective")] == [50.0, 100.0]
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["learning_rate"].number_value == 0.001
    assert values["model/activation"].string_value == "tanh"
    assert values["hidden_sizes"].string_value == "[8, 8]"
    assert values["gsde"].bool_value


def test_a_kill_neither_doubles_nor_loses_a_report(tmp_path: Path) -> None:
    append(tmp_path, started(0), *reported(0, 100, 200), ended(0, 200), started(1), *reported(1, 100, 200))
    killed = TensorBoardLogs(tmp_path)
    killed.update()  # and never closed
    (file,) = (tmp_path / "tensorboard" / NAMES[1]).iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    append(tmp_path, *reported(1, 300))
    again = TensorBoardLogs(tmp_path)
    again.update()
    append(tmp_path, *reported(1, 400))
    again.update()
    assert points(tmp_path) == {NAMES[0]: [100, 200], NAMES[1]: [100, 200, 300, 400]}


def test_files_that_a_kill_leaves_beside_new_ones_add_no_points(tmp_path: Path) -> None:
    append(tmp_path, started(0), *reported(0, 100, 200))
    TensorBoardLogs(tmp_path).update()
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "tensorboard" / NAMES[0], kept)
    TensorBoardLogs(tmp_path).update()
    shutil.copytree(kept, tmp_path / "tensorboard" / NAMES[0], dirs_exist_ok=True)
    assert points(tmp_path) == {NAMES[0]: [100, 200]}


def test_a_trial_that_got_other_values_replaces_the_one_before(tmp_path: Path) -> None:
    append(tmp_path, started(0), *reported(0, 100, 200))
    logs = TensorBoardLogs(tmp_path)
    logs.update()
    append(tmp_path, record(records.TRIAL_DISCARDED, trial=0, draw=0), started(0, draw=1, rate=0.01))
    append(tmp_path, *reported(0, 50, draw=1))
    logs.update()
    assert points(tmp_path) == {"000,learning_rate=0.01,activation=tanh": [50]}


def test_a_trial_that_goes_on_after_its_end_keeps_its_points(tmp_path: Path) -> None:
    append(tmp_path, started(0), *reported(0, 100), ended(0, 100, "error"))
    logs = TensorBoardLogs(tmp_path)
    logs.update()
    append(tmp_path, started(0, again=True), *reported(0, 200), ended(0, 200))
    logs.update()
    assert points(tmp_path) == {NAMES[0]: [100, 200]}


def test_a_full_disk_is_a_warning_and_the_logs_are_whole_later(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append(small_disk, started(0), *reported(0, 100, 200), ended(0, 200))
    filler = small_disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with logs_written(small_disk, True):
        pass
    with TrainingLogs(small_disk / "training", {}) as training:
        for steps in (100, 200):
            training.report({"env_steps": steps, "objective": 1.0})
    assert [one.getMessage().rpartition(": ")[2] for one in caplog.records] == ["No space left on device"] * 2
    filler.unlink()
    with logs_written(small_disk, True):
        pass
    assert points(small_disk) == {NAMES[0]: [100, 200]}


def test_a_training_has_logs_in_its_folder(tmp_path: Path) -> None:
    with TrainingLogs(tmp_path, {"model": {"activation": "relu"}}) as logs:
        for steps in (100, 200):
            logs.report({"env_steps": steps, "train": {"return_mean": 1.5}, "seed": {"0": {"return_mean": 2.0}}})
    found = read(tmp_path / "tensorboard")
    assert [event.step for event in found.Scalars("train/return_mean")] == [100, 200]
    assert [event.value for event in found.Scalars("seed/0/return_mean")] == [2.0, 2.0]
