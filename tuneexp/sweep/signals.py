"""Handling of termination signals: the state is saved before the command ends.

Ctrl-C (SIGINT), SIGTERM, which SLURM and Kubernetes send before SIGKILL, and SIGHUP of a closed terminal have the same
effect. A signal that is ignored when the command starts (`nohup`, `&` in a script) stays ignored.

Python drops an exception that a handler raises in a callback of a weak reference or in `__del__`. During an import,
this can leave the import lock held forever. So handlers raise nothing while a sweep starts: the signal is recorded,
and `check` raises."""

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
    """Raised by a signal in the current statement. `exit_code` is 130, 143 or 129."""

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
        self.at_once = False  # a second signal arrived
        self.saves = True  # the work saves its state
        self.final_message: Callable[[], str] | None = None  # logged if the process is killed
        self._in_order: Callable[[], bool] | None = None
        self._marks_only = False
        self._limit: object = None  # token of the valid time limit
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
        """Install the handlers again after the start of Ray, whose handler of SIGTERM aborts the process 3 s later."""
        for number in self._taken:
            signal.signal(number, self.take)

    def starting(self) -> None:
        """Raise signals at `check` only, until `started`."""
        self._marks_only = True
        self.check()

    def started(self) -> None:
        """Raise signals in the current statement from now on."""
        self._marks_only = False
        self.check()

    def check(self) -> None:
        """Raise Interrupted if a signal was recorded."""
        if self.number is not None:
            raise Interrupted(self.number)

    def check_start(self) -> None:
        """Raise Interrupted if a signal was recorded and the work is still starting."""
        if self._marks_only:
            self.check()

    @contextmanager
    def in_order(self, end: Callable[[], bool]) -> Iterator[None]:
        """Context in which the first signal calls `end`, and only the second one raises.

        `end` returns at once. It returns False if the work has not begun: then `look_again` calls it later."""
        self.check()
        self._in_order = end
        self.renew()
        try:
            yield
        finally:
            self._in_order, self._marks_only = None, False

    def look_again(self) -> None:
        """End the work if a signal arrived before it had begun."""
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
        _tell(f"stopping{', saving the results' if saves else ''} ... (a second Ctrl-C stops at once)")
        if self._in_order is not None and self._in_order():
            self._limit = None
        elif not self._marks_only:
            raise Interrupted(number)

    def _take_second(self, first: int) -> None:
        starting = self._marks_only and self._in_order is None
        if not self.at_once:  # a third one does not extend the limit
            _tell(f"stopping at once{': unsaved results are lost' if self.saves and not starting else ''} ...")
            self._end_within(AT_ONCE_WHILE_STARTING_S if starting else AT_ONCE_LIMIT_S)
        self.at_once = True
        if not starting:
            raise Interrupted(first)

    def _end_within(self, limit_s: float) -> None:
        """End the process if the outermost `stop_signals` has not ended within the limit."""
        self._limit = limit = object()

        def end() -> None:
            time.sleep(limit_s)
            if self._limit is limit and self in _active:
                end_at_once(self.exit_code, self._log_final_message)

        _thread.start_new_thread(end, ())  # `threading` acquires locks that the work may hold

    def _log_final_message(self) -> None:
        show_cursor()
        if self.final_message is not None:
            logger.warning("%s", self.final_message())


def _tell(message: str) -> None:
    with suppress(OSError, RuntimeError):  # the terminal is closed, or a write was interrupted
        logger.warning("%s", message)


def _by_default(number: int) -> None:
    """Restore the default action, for a forked child such as an environment's process."""
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.raise_signal(number)


_active: list[Stop] = []


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Handle the signals in the block. A nested block uses the state of the outer one.

    Python delivers signals to its main thread only: in other threads nothing is changed."""
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
    """Raise Interrupted if a signal was recorded and this is the main thread."""
    if _active and threading.current_thread() is threading.main_thread():
        _active[0].check()


def exit_code_of_signal() -> int | None:
    """Return the exit code of the received signal, for threads other than the main one; None without a signal."""
    return _active[0].exit_code if _active and _active[0].number is not None else None


@contextmanager
def interruptible(folder: SweepFolder) -> Iterator[Stop]:
    """Context that runs a sweep: a signal ends it as SweepInterrupted."""
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
    """Raise TuneexpError if the user's code, not a signal, raised KeyboardInterrupt."""
    if stop.number is None:
        raise TuneexpError(f"{tracebacks.one_line(error)} was raised without a signal") from error


def how_to_go_on(folder: SweepFolder) -> str:
    if not folder.exists():
        return "interrupted before the sweep began, so nothing is stored; start it again with the same command"
    return f"interrupted; continue with: {folder.command('resume')}"
