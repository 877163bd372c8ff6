"""Warnings of trials without reports, with a simulated clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.clocks import set_clock
from tuneexp.sweep.cluster import watchdog
from tuneexp.sweep.cluster.watchdog import FIRST_S, LEAST_S, Watchdog


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`wait(dog, seconds, *trials)`: iterate Tune's loop once a second."""
    now = SimpleNamespace(s=1000.0)
    set_clock(monkeypatch, watchdog, monotonic=lambda: now.s)
    monkeypatch.setattr(watchdog, "where", lambda trial: "my_env.py line 12")

    def turn(dog: Watchdog, seconds: float, *trials: Any) -> None:
        for _ in range(int(seconds)):
            now.s += 1
            dog.on_step_begin(0, list(trials))

    return turn


def running(number: int) -> Any:
    return SimpleNamespace(
        trial_id=str(number), status="RUNNING", config={"trial_number": number}, is_saving=False, is_restoring=False
    )


def test_a_trial_is_reported_once_it_is_far_slower_than_any_report_was(
    wait: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    dog, one, two = Watchdog(), running(1), running(2)
    for trial in (one, two):
        dog.on_trial_start(0, [], trial)
    with caplog.at_level(logging.WARNING):
        wait(dog, FIRST_S - 1, one, two)  # they compile
        assert not caplog.messages
        dog.on_trial_result(0, [], one, {})
        wait(dog, 20, one, two)
        dog.on_trial_result(0, [], one, {})
        wait(dog, 10 * 20 - 1, one)
        assert not caplog.messages, "the longest report took 20 s"
        wait(dog, 3, one)
        (told,) = caplog.messages
        assert all(words in told for words in ("trial 1", "201 s", "my_env.py line 12"))
        wait(dog, 190, one)
        assert len(caplog.messages) == 1
        wait(dog, 20, one)
        assert len(caplog.messages) == 2, "its silence has doubled"
        dog.on_trial_result(0, [], one, {})
        assert "trial 1 reports again" in caplog.messages[-1]


def test_short_reports_and_a_pause_of_the_driver_are_no_reason_to_tell(
    wait: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    dog, one = Watchdog(), running(1)
    wait(dog, 1, one)
    for _ in range(5):
        dog.on_trial_result(0, [], one, {})
        wait(dog, 1, one)
    with caplog.at_level(logging.WARNING):
        wait(dog, LEAST_S - 2, one)
        slept = watchdog.time.monotonic() + 1000
        set_clock(monkeypatch, watchdog, monotonic=lambda: slept)
        dog.on_step_begin(0, [one])
        assert not caplog.messages


@pytest.mark.parametrize("transfer", ["is_saving", "is_restoring"])
def test_the_time_that_a_checkpoint_takes_is_no_silence(
    wait: Callable[..., None], caplog: pytest.LogCaptureFixture, transfer: str
) -> None:
    dog, one = Watchdog(), running(1)
    dog.on_trial_start(0, [], one)
    setattr(one, transfer, True)
    with caplog.at_level(logging.WARNING):
        wait(dog, FIRST_S + 1, one)
        setattr(one, transfer, False)
        wait(dog, FIRST_S - 1, one)
        assert not caplog.messages
        dog.on_trial_result(0, [], one, {})
        assert max(dog._longest_s.values()) < FIRST_S  # nor does it make later reports look quick
