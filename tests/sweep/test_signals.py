"""SIGINT, SIGTERM and SIGHUP end a command in the same order, with the exit code of the signal."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from tuneexp.addresses import load_address
from tuneexp.cli.exit_codes import run_app, stoppable
from tuneexp.errors import UserError
from tuneexp.ray_support import start as ray_start
from tuneexp.sweep import process_exit
from tuneexp.sweep.cluster import ray_session
from tuneexp.sweep.signals import Interrupted, SweepInterrupted, check_signals, interruptible, stop_signals
from tuneexp.sweep.storage.folder import sweep_folder

ROOT = Path(__file__).parents[2]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def nothing_is_ignored() -> Iterator[None]:
    """Restore the default handlers: tests under nohup, or in the background of a shell, ignore signals."""
    before = {number: signal.getsignal(number) for number in CODES}
    for number in CODES:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", CODES)
def test_the_first_signal_is_reported_and_ends_the_command_with_its_code(
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


def test_work_that_can_end_in_order_does_until_a_second_signal_which_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
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
    assert [record.getMessage().partition(" ")[2][:7] for record in caplog.records] == ["saving ", "at once"]


def test_work_that_has_not_begun_is_ended_by_the_first_signal() -> None:
    with pytest.raises(Interrupted), stop_signals() as stop, stop.in_order(lambda: False):
        signal.raise_signal(signal.SIGTERM)


def test_a_forked_child_dies_of_a_signal_as_without_us() -> None:
    """For example an environment in its own process, which its parent ends with SIGTERM."""
    with stop_signals():
        if not (child := os.fork()):
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_a_sweep_prints_how_to_continue_once_there_is_something_to_continue(tmp_path: object) -> None:
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

    monkeypatch.setattr(logging.getLogger("tuneexp.sweep.signals"), "warning", gone)
    with pytest.raises(Interrupted), stop_signals():
        signal.raise_signal(signal.SIGHUP)


class Tells:
    """Sends a signal at a moment when Python drops exceptions of handlers."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_in_a_callback_that_drops_exceptions_ends_a_start(tmp_path: Path) -> None:
    reached: list[str] = []

    def start() -> None:
        with interruptible(sweep_folder("s", str(tmp_path))):
            Tells()
            reached.append("the work goes on until it looks")
            check_signals()
            reached.append("lost")

    with pytest.raises(SweepInterrupted) as raised:
        start()
    assert raised.value.exit_code == 143
    assert reached == ["the work goes on until it looks"]


def test_a_start_of_ray_that_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    folders: list[Path] = []

    def start(temporary: Path, *args: object, **settings: object) -> None:
        folders.append(temporary.parent)
        go_on.wait(60)

    monkeypatch.setattr(ray_start, "start_local", start)
    monkeypatch.setattr(ray_session, "START_JOIN_LIMIT_S", 0.1)
    monkeypatch.setattr(process_exit, "_abandoned", False)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, shutdown=lambda: None))
    started = ray_session.RaySession(1, "local", 1.0)

    def run() -> None:
        with interruptible(sweep_folder("s", str(tmp_path))), started:
            while not folders:
                time.sleep(0.01)
            Tells()
            started.ready()

    with pytest.raises(SweepInterrupted):
        run()
    assert process_exit._abandoned
    assert folders[0].exists()  # Ray may be using it
    go_on.set()
    started._thread.join(60)
    assert not folders[0].exists()


def test_a_signal_before_the_work_can_end_in_order_is_passed_on_once_it_can() -> None:
    begun: list[bool] = []
    with stop_signals() as stop:
        stop.starting()
        with stop.in_order(lambda: bool(begun)):
            signal.raise_signal(signal.SIGTERM)
            begun.append(True)
            stop.look_again()
            with pytest.raises(Interrupted):
                signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("signals", [1, 2])
def test_what_hangs_while_it_starts_is_ended_with_the_code_and_the_words(tmp_path: Path, signals: int) -> None:
    hangs = f"""
        import signal, sys, threading
        from pathlib import Path
        from tuneexp.sweep import process_exit
        from tuneexp.sweep import signals
        from tuneexp.sweep.storage.folder import sweep_folder
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signals.START_LIMIT_S, signals.AT_ONCE_WHILE_STARTING_S = ({signals} - 1) * 1000 + 0.1, 0.1
        left = Path("left")
        left.touch()
        with signals.interruptible(sweep_folder("s", ".")), process_exit.cleaned(left.unlink):
            for _ in range({signals}):
                signal.raise_signal(signal.SIGINT)
            threading.Lock().acquire() and threading.Event().wait()
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(hangs)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 130
    assert "start it again" in done.stderr
    assert not (tmp_path / "left").exists()


def test_signals_that_follow_the_one_that_ended_a_command_print_nothing(tmp_path: Path) -> None:
    ends = """
        import atexit, signal
        import typer
        from tuneexp.cli.exit_codes import run_and_exit, run_app, stoppable
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def again():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
        app = typer.Typer()
        @app.command()
        def work() -> None:
            with stoppable():
                signal.raise_signal(signal.SIGINT)
        def run():
            code = run_app(app, [], "work")
            again()
            atexit.register(again)
            return code
        run_and_exit(run)
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ends)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 130
    assert done.stderr.count("\n") == 1, done.stderr  # that it stops


def test_a_keyboard_interrupt_of_the_users_own_code_is_its_fault(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("raise KeyboardInterrupt\n")
    with stop_signals(), pytest.raises(UserError, match=r"own\.py line 1"):
        load_address(f"{own}:Env", "environment")
    app = typer.Typer()

    @app.command()
    def work() -> None:
        with stoppable():
            raise KeyboardInterrupt

    assert run_app(app, [], "work") == 1
