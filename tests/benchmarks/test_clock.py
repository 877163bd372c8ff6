"""The clock of a measured run."""

from __future__ import annotations

import sys
import time

import pytest

from benchmarks import clock
from benchmarks.running import last_json


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.STARTED, str(time.time() - 3.0))


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[clock.Moment]:
    """Moments that `now` returns one after the other."""
    moments: list[clock.Moment] = []
    monkeypatch.setattr(clock, "now", lambda: moments.pop(0))
    return moments


def test_training_is_the_time_without_evaluation(started: None, times: list[clock.Moment]) -> None:
    tenths = clock.Tenths(lambda: 500.0)
    times += [clock.Moment(0.0, 0.0), clock.Moment(7.0, 7.0)]  # the first evaluation is not counted
    tenths.evaluate()
    times += [clock.Moment(10.0, 10.0)]
    tenths.end_first()
    times += [clock.Moment(17.0, 13.0), clock.Moment(18.0, 13.5)]
    tenths.evaluate()
    times += [clock.Moment(19.0, 15.0)]
    measured = tenths.measurement(800, 500.0)
    assert measured["env_steps_per_s"] == pytest.approx(800 / 9)
    assert measured["training_env_steps_per_s"] == pytest.approx(800 / 8)
    assert measured["training_env_steps_per_cpu_s"] == pytest.approx(800 / 4.5)
    assert measured["evaluation_share"] == pytest.approx(0.1)
    assert measured["start_s"] == pytest.approx(3.0 - 1.0, abs=0.9)


def test_a_run_whose_evaluation_was_not_timed_has_no_measurement(started: None) -> None:
    tenths = clock.Tenths(lambda: 500.0)
    tenths.end_first()
    with pytest.raises(AssertionError, match="no evaluation was timed"):
        tenths.measurement(800, 500.0)


CHILD = "import time\nwhile time.process_time() < 0.6: pass\ntime.sleep(0.3)"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {CHILD!r}])\nprint('{{}}')"


def test_the_cpu_time_of_a_command_is_that_of_all_its_processes() -> None:
    measured = last_json([sys.executable, "-c", PARENT], worker_name="no worker")
    assert 0.5 < measured["cpu_s"] < 2.0
    assert measured["worker_peak_mb"] == 0.0
