"""A recording: real training in small, one Parquet file, and a rerun that trains the missing configurations only."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.record import record
from benchmarks.recording.design import design
from benchmarks.recording.storage import Recording
from benchmarks.recording.tasks import TASKS, miniature
from benchmarks.recording.training import Curves, train
from benchmarks.tuners.__main__ import complete_recordings
from benchmarks.tuners.reading import read_table
from tests.faults.process_tree import descendants, is_alive

TINY = miniature(TASKS["ppo_CartPole-v1"], env_steps=512)


class Inline:
    """Stands for a pool of processes: trains in this one, by a function."""

    def __init__(self, train: Callable[..., Curves]) -> None:
        self.trained: list[Any] = []
        self._train = train

    def submit(self, _: Any, task: Any, point: Any, compilation: str) -> Future[Curves]:
        future: Future[Curves] = Future()
        self.trained.append(point)
        future.set_result(self._train(task, point))
        return future


def constant(task: Any, point: Any) -> Curves:
    return Curves(np.full((len(task.seeds), task.evaluations), point["learning_rate"]), 1.5, 2.0)


def run(pool: Inline, folder: Path, configurations: int = 4, say: Callable[[str], None] = lambda line: None) -> None:
    record([TINY], pool, configurations, folder, say)  # type: ignore[arg-type]


def ordered(points: list[dict[str, Any]]) -> list[list[Any]]:
    return sorted(list(point.values()) for point in points)


def test_recordings_that_are_not_complete_are_left_out_of_the_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(Inline(constant), tmp_path, configurations=2)
    assert complete_recordings(tmp_path) == []
    assert TINY.name in capsys.readouterr().out
    monkeypatch.setattr("benchmarks.recording.storage.CONFIGURATIONS", 2)
    monkeypatch.setattr("benchmarks.recording.storage.SEEDS", TINY.seeds)
    assert complete_recordings(tmp_path) == [tmp_path / f"{TINY.name}.parquet"]


def test_two_configurations_are_trained_and_read_as_a_table(tmp_path: Path) -> None:
    run(Inline(lambda task, point: train(task, point, "off")), tmp_path, configurations=2)
    table = read_table(tmp_path / f"{TINY.name}.parquet")
    assert list(table.env_steps) == [256, 512]
    assert ordered(list(table.rows)) == ordered(design(TINY, 2))
    assert {name: values.spell() for name, values in ((d.name, d.values) for d in table.dimensions)} == TINY.space
    assert all(curves.shape == (2, 2) and (curves >= 1).all() for curves in table.returns)
    assert table.seconds is not None
    assert (table.seconds > 0).all()


def test_the_same_configuration_has_the_same_curves() -> None:
    point = design(TINY, 1)[0]
    assert np.array_equal(train(TINY, point, "off").returns, train(TINY, point, "off").returns)


def test_a_killed_recording_goes_on_with_the_missing_configurations(tmp_path: Path) -> None:
    def killed(line: str) -> None:
        if f"{TINY.name} 2/4" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Inline(constant), tmp_path, say=killed)
    recording = Recording(tmp_path, TINY)
    missing = [point for point in design(TINY, 4) if not recording.has(point)]
    assert len(missing) == 2
    again = Inline(constant)
    run(again, tmp_path)
    assert again.trained == missing
    table = read_table(tmp_path / f"{TINY.name}.parquet")
    assert [row["learning_rate"] for row in table.rows] == pytest.approx(table.scores.tolist())


def test_the_file_of_other_settings_is_refused(tmp_path: Path) -> None:
    Recording(tmp_path, TINY).add(design(TINY, 1)[0], constant(TINY, design(TINY, 1)[0]))
    with pytest.raises(SystemExit, match="other settings"):
        Recording(tmp_path, replace(TINY, episodes=7))


def test_evaluations_between_the_steps_of_the_columns_are_refused() -> None:
    uneven = replace(TINY, fixed={**TINY.fixed, "n_steps": 24})
    with pytest.raises(ValueError, match="whole number of rollouts"):
        train(uneven, design(TINY, 1)[0], "off")


RECORD_TINY = """
import sys
from pathlib import Path
from benchmarks.record import record, training_processes
from tests.benchmarks.recording.test_recording import TINY
if __name__ == "__main__":
    with training_processes(1) as pool:
        record([TINY], pool, 3, Path(sys.argv[1]), compilation="off")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_sigkill_nothing_is_lost_and_no_process_stays(tmp_path: Path) -> None:
    script = tmp_path / "record_tiny.py"
    script.write_text(RECORD_TINY)
    command = [sys.executable, str(script), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        next(line for line in killed.stdout if " 1/3: " in line)
        workers = descendants(killed.pid)
        killed.kill()
    until = time.monotonic() + 60
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < until, "a process trains on after its parent was killed"
        time.sleep(0.1)
    assert len(Recording(tmp_path, TINY)) >= 1
    lines = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert " 3/3: " in lines
    assert " 1/3: " not in lines
    assert len(read_table(tmp_path / f"{TINY.name}.parquet").rows) == 3
