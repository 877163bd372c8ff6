"""Exit of the process: in order after a command, or immediate where it hangs."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BY_A_SIGNAL = 128  # added to the number of the signal: what shells call the exit code of a process that it ended
AT_ONCE_LIMIT_S = 10.0  # from a second signal to the end of the process
EXIT_LIMIT_S = 20.0  # of the interpreter, once a command has ended by a signal
_WORDS_LIMIT_S = 1.0

_cleaners: list[Callable[[], None]] = []
_abandoned = False
_process_ends = False


@contextmanager
def cleaned(clean: Callable[[], None]) -> Iterator[None]:
    """For the block: `clean` is called where the process is ended in the middle."""
    _cleaners.append(clean)
    try:
        yield
    finally:
        _cleaners.remove(clean)


def abandon() -> None:
    """Leave a thread behind that can't be interrupted, so that `end_process` does not wait for it."""
    global _abandoned
    _abandoned = True


@contextmanager
def until_the_process_ends() -> Iterator[None]:
    """For the block that is all that this process does: a signal that ends it is its last one."""
    global _process_ends
    _process_ends = True
    try:
        yield
    finally:
        _process_ends = False


def process_ends() -> bool:
    return _process_ends


def end_process(code: int) -> NoReturn:
    """Exit. Where a signal has ended the command, others that follow it change nothing and print nothing."""
    if code - BY_A_SIGNAL in SIGNALS:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, quietly(code))
        _exit_within(EXIT_LIMIT_S, code)
        if _abandoned:
            _leave(code)
    sys.exit(code)


def end_at_once(code: int, words: Callable[[], None]) -> NoReturn:
    """End the process in the middle, whatever hangs: the last words, too."""
    _thread.start_new_thread(words, ())
    _thread.start_new_thread(_clean, ())
    time.sleep(_WORDS_LIMIT_S)
    os._exit(code)


def quietly(code: int) -> Callable[[int, FrameType | None], None]:
    """A handler for signals that come while the process ends."""
    return lambda number, frame: _exit_within(AT_ONCE_LIMIT_S, code)


def show_cursor() -> None:
    """Show the terminal's cursor, which a live table has hidden, where the process ends in the middle."""
    with suppress(OSError):  # no terminal
        Path("/dev/tty").write_text("\x1b[?25h")


def _leave(code: int) -> NoReturn:
    """Exit without the interpreter's own end, which would wait for, or crash, what is being started."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _clean()
    os._exit(code)


def _clean() -> None:
    for clean in list(_cleaners):
        clean()


def _exit_within(limit_s: float, code: int) -> None:
    def end() -> None:
        time.sleep(limit_s)
        os._exit(code)

    with suppress(RuntimeError):  # the interpreter ends already
        _thread.start_new_thread(end, ())
