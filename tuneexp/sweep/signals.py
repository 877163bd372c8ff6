"""Handling of termination signals: the state is saved before the command ends.

Ctrl-C (SIGINT), SIGTERM, which SLURM and Kubernetes send before they kill, and SIGHUP of a closed terminal mean the
same. One that is ignored when the command starts (`nohup`, `&` in a script) stays ignored.

Python drops an exception that a handler raises inside a callback of a weak reference or a `__del__`. Inside an import
that leaves the import lock held, for good where another thread imports, too. So nothing is raised while a sweep starts:
the signal is marked, and raises at the next `check`."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from tuneexp import tracebacks
from tuneexp.commands import command
from tuneexp.errors import TuneexpError
from tuneexp.sweep.process_exit import (
    AT_ONCE_LIMIT_S,
    BY_A_SIGNAL,
    SIGNALS,
    end_at_once,
    process_ends,
    quietly,
    show_cursor,
)
from tuneexp.sweep.storage.folder import SweepFolder

logger = logging.getLogger(__name__)

START_LIMIT_S = 15.0  # from the first signal to the end of a process that is still starting a sweep
AT_ONCE_WHILE_STARTING_S = 2.0


class Interrupted(KeyboardInterrupt):
    """Raised where the work stands. `exit_code` is 130, 143 or 129."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = BY_A_SIGNAL + number


class SweepInterrupted(TuneexpError):
    """A signal ended the sweep. Its state is saved, and the message has the command that continues it."""

    def __init__(self, message: str, exit_code: int = BY_A_SIGNAL + signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Stop:
    """State of the signals so far. number: the first one, or None."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.at_once = False  # a second one came
        self.saves = True  # what was done until then
        self.final_message: Callable[[], str] | None = None  # logged if the process is killed
        self._in_order: Callable[[], bool] | None = None
        self._marks_only = False
        self._limit: object = None  # the one that counts
        self._process = os.getpid()
        self._taken: list[signal.Signals] = []

    @property
    def exit_code(self) -> int:
        return BY_A_SIGNAL + (signal.SIGINT if self.number is None else self.number)

    def install(self, put_back: ExitStack) -> None:
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._taken.append(number)
                put_back.callback(self._put_back, number, before or signal.SIG_DFL)
        self.renew()

    def _put_back(self, number: signal.Signals, before: Callable[..., object] | int) -> None:
        ended = self.number is not None and process_ends()
        signal.signal(number, quietly(self.exit_code) if ended else before)

    def renew(self) -> None:
        """Take the signals again once Ray has started: its own handler of SIGTERM aborts the process 3 s later."""
        for number in self._taken:
            signal.signal(number, self.take)

    def starting(self) -> None:
        """From here on, signals raise at `check` only."""
        self._marks_only = True
        self.check()

    def started(self) -> None:
        """From here on, signals raise where the work stands."""
        self._marks_only = False
        self.check()

    def check(self) -> None:
        """Raise Interrupted where a signal was marked."""
        if self.number is not None:
            raise Interrupted(self.number)

    def check_start(self) -> None:
        """As `check`, where the work has not got beyond its start."""
        if self._marks_only:
            self.check()

    @contextmanager
    def in_order(self, end: Callable[[], bool]) -> Iterator[None]:
        """For the block: the first signal calls `end`, and only the second one raises. `end` returns at once, False
        where the work that it ends has not begun: then `look_again` calls it later."""
        self.check()
        self._in_order = end
        self.renew()
        try:
            yield
        finally:
            self._in_order, self._marks_only = None, False

    def look_again(self) -> None:
        """End the work where a signal came before it had begun."""
        if self.number is not None and not self.at_once and self._in_order is not None and self._in_order():
            self._limit = None

    def take(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal: log it, then end in order, or raise in the current statement."""
        if os.getpid() != self._process:
            self.number = number
            _by_default(number)
            return
        if self.number is not None:
            self._take_second(self.number)
            return
        self.number = number
        if self._marks_only:
            self._end_within(START_LIMIT_S)
        saves = self.saves and (not self._marks_only or self._in_order is not None)
        _tell(f"stopping{', saving what was reported' if saves else ''} ... (a second Ctrl-C stops at once)")
        if self._in_order is not None and self._in_order():
            self._limit = None
        elif not self._marks_only:
            raise Interrupted(number)

    def _take_second(self, first: int) -> None:
        starting = self._marks_only and self._in_order is None
        if not self.at_once:  # a third one does not put it off
            _tell(f"stopping at once{': what was not saved yet is lost' if self.saves and not starting else ''} ...")
            self._end_within(AT_ONCE_WHILE_STARTING_S if starting else AT_ONCE_LIMIT_S)
        self.at_once = True
        if not starting:
            raise Interrupted(first)

    def _end_within(self, limit_s: float) -> None:
        """End the process where the outermost `stop_signals` has not ended by then, whatever hangs."""
        self._limit = limit = object()

        def end() -> None:
            time.sleep(limit_s)
            if self._limit is limit and self in _active:
                end_at_once(self.exit_code, self._last_words)

        _thread.start_new_thread(end, ())  # `threading` takes locks, which the work may hold

    def _last_words(self) -> None:
        show_cursor()
        if self.final_message is not None:
            logger.warning("%s", self.final_message())


def _tell(message: str) -> None:
    with suppress(OSError, RuntimeError):  # the terminal is gone, or was just being written to
        logger.warning("%s", message)


def _by_default(number: int) -> None:
    """Restore the default action, for a forked child such as an environment's process."""
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
        stack.enter_context(tracebacks.interrupts_are(lambda: stop.number is not None))
        yield stop


def check_signals() -> None:
    """Raise Interrupted where a signal was marked and this is the thread that ends by it."""
    if _active and threading.current_thread() is threading.main_thread():
        _active[0].check()


def exit_code_of_signal() -> int | None:
    """The exit code of the signal that this process was sent, for other threads than the main one."""
    return _active[0].exit_code if _active and _active[0].number is not None else None


@contextmanager
def interruptible(folder: SweepFolder) -> Iterator[Stop]:
    """Run a sweep in the block: a signal ends it as SweepInterrupted."""
    with stop_signals() as stop:
        stop.final_message = lambda: how_to_go_on(folder)
        try:
            stop.starting()
            yield stop
            stop.check_start()
        except KeyboardInterrupt as error:
            refuse_unsignalled(stop, error)
            raise SweepInterrupted(how_to_go_on(folder), stop.exit_code) from None
        finally:
            stop.final_message = None


def refuse_unsignalled(stop: Stop, error: KeyboardInterrupt) -> None:
    """TuneexpError where the user's code, not a signal, raised KeyboardInterrupt."""
    if stop.number is None:
        raise TuneexpError(f"no signal came, but {tracebacks.one_line(error)} was raised") from error


def how_to_go_on(folder: SweepFolder) -> str:
    if not folder.exists():
        return "interrupted before the sweep began, so nothing is stored; start it again with the same command"
    return f"interrupted; go on with: {command('resume', folder.name, storage=folder.storage)}"
