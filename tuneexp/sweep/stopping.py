"""Signals that ask a command to end: what is done is saved first.

Ctrl-C (SIGINT), SIGTERM, which SLURM and Kubernetes send before they kill, and SIGHUP of a closed terminal mean the
same. One that is ignored when the command starts (`nohup`, `&` in a script) stays ignored."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from tuneexp.commands import command
from tuneexp.errors import TuneexpError
from tuneexp.sweep.folder import SweepFolder

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BY_A_SIGNAL = 128  # added to the number of the signal: what shells call the exit code of a process that it ended


class Interrupted(KeyboardInterrupt):
    """Raised where the work stands. `exit_code` is 130, 143 or 129."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = _BY_A_SIGNAL + number


class SweepInterrupted(TuneexpError):
    """A signal ended the sweep: its state is saved, and the message says how to go on."""

    def __init__(self, message: str, exit_code: int = _BY_A_SIGNAL + signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Stop:
    """What was asked for so far. `number`: the first signal, or None."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.at_once = False  # a second one came
        self._in_order: Callable[[], bool] | None = None
        self._process = os.getpid()
        self._taken: list[signal.Signals] = []

    @property
    def exit_code(self) -> int:
        return _BY_A_SIGNAL + (signal.SIGINT if self.number is None else self.number)

    def install(self, put_back: ExitStack) -> None:
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._taken.append(number)
                put_back.callback(signal.signal, number, before or signal.SIG_DFL)
        self.renew()

    def renew(self) -> None:
        """Take the signals again once Ray has started: its own handler of SIGTERM aborts the process 3 s later."""
        for number in self._taken:
            signal.signal(number, self.take)

    @contextmanager
    def in_order(self, end: Callable[[], bool]) -> Iterator[None]:
        """For the block: the first signal calls `end`, and only the second one raises. `end` returns at once, False
        where the work that it ends has not begun."""
        self._in_order = end
        self.renew()
        try:
            yield
        finally:
            self._in_order = None

    def take(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal: tell at once, then end in order, or raise where the work stands."""
        if os.getpid() != self._process:
            _by_default(number)
            return
        if self.number is not None:
            self.at_once = True
            raise Interrupted(self.number)
        self.number = number
        with suppress(OSError, RuntimeError):  # the terminal is gone, or was just being written to
            logger.warning("stopping, saving what is done ... (a second Ctrl-C stops at once)")
        if self._in_order is None or not self._in_order():
            raise Interrupted(number)


def _by_default(number: int) -> None:
    """In a forked child, an environment of its own say, the signal does what it did before."""
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.raise_signal(number)


_active: list[Stop] = []


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Handle the signals for the block; within another such block, as that one does.

    Python gives signals to its main thread only: elsewhere nothing is changed."""
    if _active or threading.current_thread() is not threading.main_thread():
        yield _active[0] if _active else Stop()
        return
    stop = Stop()
    with ExitStack() as stack:
        stop.install(stack)
        _active.append(stop)
        stack.callback(_active.remove, stop)
        yield stop


def exit_code_of_signal() -> int | None:
    """The exit code of the signal that this process was sent, for other threads than the main one."""
    return _active[0].exit_code if _active and _active[0].number is not None else None


@contextmanager
def interruptible(folder: SweepFolder) -> Iterator[Stop]:
    """Run a sweep in the block: a signal ends it as SweepInterrupted."""
    with stop_signals() as stop:
        try:
            yield stop
        except KeyboardInterrupt:
            raise SweepInterrupted(how_to_go_on(folder), stop.exit_code) from None


def how_to_go_on(folder: SweepFolder) -> str:
    if not folder.exists():
        return "interrupted before the sweep began, so nothing is stored; start it again with the same command"
    return f"interrupted; go on with: {command('resume', folder.name, storage=folder.storage)}"
