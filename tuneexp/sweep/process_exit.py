"""Exit of the process: orderly after a command, or immediate if a thread hangs."""

from __future__ import annotations

import _thread
import gc
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
BY_A_SIGNAL = 128  # plus the number of the signal: exit code of a process that a signal ended, as in shells
AT_ONCE_LIMIT_S = 10.0  # from a second signal to the end of the process
EXIT_LIMIT_S = 20.0  # of the interpreter, once a command has ended by a signal
_WORDS_LIMIT_S = 1.0

_cleaners: list[Callable[[], None]] = []
_abandoned = False
_process_ends = False


@contextmanager
def cleaned(clean: Callable[[], None]) -> Iterator[None]:
    """Context in which `clean` is called if the process is ended at once."""
    _cleaners.append(clean)
    try:
        yield
    finally:
        _cleaners.remove(clean)


def abandon() -> None:
    """Mark that a thread can't be interrupted, so that `end_process` does not wait for it."""
    global _abandoned
    _abandoned = True


@contextmanager
def until_the_process_ends() -> Iterator[None]:
    """Context of a block that is the whole work of this process: after a signal ended it, further ones are ignored."""
    global _process_ends
    _process_ends = True
    try:
        yield
    finally:
        _process_ends = False


def process_ends() -> bool:
    return _process_ends


def end_process(code: int) -> NoReturn:
    """Exit. After a signal has ended the command, further signals are ignored."""
    if code - BY_A_SIGNAL in SIGNALS:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, quietly(code))
        _exit_within(EXIT_LIMIT_S, code)
        if _abandoned:
            _leave(code)
    gc.freeze()  # else the interpreter collects all objects of the libraries at its end, half a second
    sys.exit(code)


def end_at_once(code: int, last_message: Callable[[], None]) -> NoReturn:
    """End the process at once, even if `last_message`, which prints the reason, hangs."""
    _thread.start_new_thread(last_message, ())
    _thread.start_new_thread(_clean, ())
    time.sleep(_WORDS_LIMIT_S)
    os._exit(code)


def quietly(code: int) -> Callable[[int, FrameType | None], None]:
    """Return a handler of signals that arrive while the process ends."""
    return lambda number, frame: _exit_within(AT_ONCE_LIMIT_S, code)


def show_cursor() -> None:
    """Show the cursor of the terminal again, which a live table hides, before an immediate exit."""
    with suppress(OSError):  # no terminal
        Path("/dev/tty").write_text("\x1b[?25h")


def _leave(code: int) -> NoReturn:
    """Exit without the finalisation of the interpreter, which would wait for threads or crash."""
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
