"""Exceptions of user code and libraries in one line of plain text."""

from __future__ import annotations

import copy
import os
import pickle
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

MOST_CHARACTERS = 500
# Ray colours the heading of a traceback: `ray::NAME() (pid=...`. Other control characters come from the user's text.
_RAY_COLOURS = re.compile(r"\x1b\[36m([^\x1b]*\(\))\x1b\[39m(?= \(pid=)")
_OWN = str(Path(__file__).parent)
_PYTHON = str(Path(os.__file__).parent)


class Frame(NamedTuple):
    """One call of a traceback."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{Path(self.file).name} line {self.line}"

    def of_user(self) -> bool:
        return not self.file.startswith((_OWN, _PYTHON, "<")) and "site-packages" not in self.file


_signalled: list[Callable[[], bool]] = []


@contextmanager
def interrupts_are(signalled: Callable[[], bool]) -> Iterator[None]:
    """Context in which KeyboardInterrupt counts as an interrupt only if `signalled()`; else user code raised it."""
    _signalled.append(signalled)
    try:
        yield
    finally:
        _signalled.remove(signalled)


def interrupted() -> bool:
    """True after Ctrl-C or another signal that ends the work of the current `interrupts_are` block."""
    return bool(_signalled) and _signalled[-1]()


def ends_process(error: BaseException) -> bool:
    """Return True if `error` ends the process (Ctrl-C, or SIGTERM to a worker) and is no fault of the code."""
    if isinstance(error, KeyboardInterrupt):
        return not _signalled or interrupted()
    return isinstance(error, GeneratorExit) or hasattr(error, "ray_terminate_msg")


def plain(text: str) -> str:
    """Return `text` as one line of bounded length with escaped control characters."""
    words = " ".join(_RAY_COLOURS.sub(r"\1", text).split())
    line = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in words)
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 3]}..."


def one_line(error: BaseException) -> str:
    """Return `ValueError: the message`; for other BaseExceptions the source line: `SystemExit in my_env.py line 12`."""
    text = plain(str(error))
    name = type(error).__name__
    frames = [Frame(frame.filename, frame.lineno or 0) for frame in reversed(traceback.extract_tb(error.__traceback__))]
    if not isinstance(error, Exception) and frames:
        name += f" in {of_user(frames)}"
    return f"{name}: {text}" if text else name


def of_user(frames: Iterable[Frame]) -> Frame:
    """Return the innermost frame in a file of the user, else the innermost one. frames: innermost first."""
    known = list(frames)
    return next((frame for frame in known if frame.of_user()), known[0])


def travels(error: BaseException) -> bool:
    """Return True if `error` can be pickled with its causes, so that another process can read it."""
    each: BaseException | None = error
    try:
        while each is not None:
            copy.copy(each)
            pickle.loads(pickle.dumps(each))
            each = each.__cause__
    except Exception:
        return False
    return True
