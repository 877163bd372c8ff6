"""SIGINT, SIGTERM and SIGHUP end a command the same way: told at once, in order, with the exit code of the signal."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest
import typer

from tuneexp.cli.exits import run_app, stoppable
from tuneexp.sweep.folder import sweep_folder
from tuneexp.sweep.stopping import Interrupted, SweepInterrupted, interruptible, stop_signals

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def nothing_is_ignored() -> Iterator[None]:
    """As in a terminal: tests under nohup, or in the background of a shell, ignore signals."""
    before = {number: signal.getsignal(number) for number in CODES}
    for number in CODES:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", CODES)
def test_the_first_signal_is_told_and_ends_the_command_with_its_code(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    before = [signal.getsignal(one) for one in CODES]
    app = typer.Typer()

    @app.command()
    def work() -> None:
        with stoppable():
            signal.raise_signal(number)

    assert run_app(app, [], "work") == CODES[number]
    assert "stopping, saving" in caplog.text
    assert [signal.getsignal(one) for one in CODES] == before


def test_an_ignored_signal_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert stop.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_work_that_can_end_in_order_does_until_a_second_signal() -> None:
    asked: list[bool] = []

    def end() -> bool:
        asked.append(True)
        return True

    with stop_signals() as outer, stop_signals() as stop, stop.in_order(end):
        assert stop is outer
        signal.raise_signal(signal.SIGTERM)
        assert (asked, stop.at_once) == ([True], False)
        with pytest.raises(Interrupted) as raised:
            signal.raise_signal(signal.SIGINT)
        assert (raised.value.exit_code, stop.at_once, asked) == (143, True, [True])  # of the first one


def test_work_that_has_not_begun_is_ended_by_the_first_signal() -> None:
    with pytest.raises(Interrupted), stop_signals() as stop, stop.in_order(lambda: False):
        signal.raise_signal(signal.SIGTERM)


def test_a_forked_child_dies_of_a_signal_as_without_us() -> None:
    """An environment of a process of its own, say, which its parent ends with SIGTERM."""
    with stop_signals():
        if not (child := os.fork()):
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_a_sweep_says_how_to_go_on_once_there_is_something_to_go_on_with(tmp_path: object) -> None:
    folder = sweep_folder("s", str(tmp_path))
    said = []
    for _ in range(2):
        with pytest.raises(SweepInterrupted) as raised, interruptible(folder):
            signal.raise_signal(signal.SIGTERM)
        said.append(str(raised.value))
        assert raised.value.exit_code == 143
        folder.path.mkdir(exist_ok=True)
        folder.config_file.write_text("{}")
    assert "start it again" in said[0]
    assert "tuneexp resume s" in said[1]


def test_a_terminal_that_is_gone_does_not_keep_a_sweep_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(logging.getLogger("tuneexp.sweep.stopping"), "warning", gone)
    with pytest.raises(Interrupted), stop_signals():
        signal.raise_signal(signal.SIGHUP)
