"""Output streams: results to standard output, messages to standard error, output of libraries to a log.

Ray writes from C++ and from subprocesses, so levels and filters in Python are not enough: the file descriptors 1 and 2
are redirected to a log file while a command runs. Copies of the original streams serve for the command's own output.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TextIO

from rich.console import Console, RenderableType

from tuneexp.cli.option_values import finite
from tuneexp.errors import TuneexpError, UserError
from tuneexp.files.temporary import new_log, remove_old_logs
from tuneexp.ray_support.environment import TERMINAL_SETTINGS, set_missing
from tuneexp.report.formatting import print_text, visible
from tuneexp.security.masking import masked

LOG_WIDTH = 160  # of tables in a file or a pipe
_NOISY_LOGGERS = ("ray", "mlflow", "alembic", "sqlalchemy", "optuna", "gymnasium", "torch", "matplotlib", "urllib3")
# Set before these packages are imported or start their processes.
_QUIET_ENVIRONMENT = {
    **TERMINAL_SETTINGS,
    "GLOG_minloglevel": "3",
    "PYTHONWARNINGS": "ignore",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "ALEMBIC_LOGGING_LEVEL": "ERROR",
}
_OF_OUR_SETTING = b"Set ray log level from environment variable"  # Ray's line at each start


@dataclass(frozen=True)
class Terminal:
    """The two streams of a command. `json`: results are one JSON object."""

    out: TextIO
    err: Console
    json: bool
    verbose: bool

    def note(self, message: str) -> None:
        """Print a line about progress to standard error."""
        print_text(self.err, message)

    def result(self, value: Any) -> None:
        """Print the JSON object of `--json`. NaN is written as null."""
        self.out.write(json.dumps(finite(value), allow_nan=False) + "\n")
        self.out.flush()

    def show(self, renderable: RenderableType) -> None:
        """Print a table, the result of the command, to standard output."""
        Console(file=self.out, highlight=False, width=self.width).print(renderable)

    def show_text(self, text: str) -> None:
        """Print text without truncation and wrapping, so that paths can be copied."""
        self.out.write(f"{visible(text)}\n")
        self.out.flush()

    @property
    def width(self) -> int:
        """Width of standard output in columns."""
        return Console(file=self.out).width if self.out.isatty() else LOG_WIDTH


@contextlib.contextmanager
def terminal(json: bool = False, verbose: bool = False) -> Iterator[Terminal]:
    """Open the streams of one command and put everything back after it."""
    _require_working_folder()
    with contextlib.ExitStack() as stack:
        out, err = _own(stack, sys.stdout, 1), _own(stack, sys.stderr, 2)
        if not verbose:
            _quiet_python(stack)
            _chatter_to_log(stack)
        else:
            _point(stack, 1, 2)
        # print() in an environment or a callback is shown on standard error; logs of libraries go to the log file.
        stack.enter_context(contextlib.redirect_stdout(err))
        console = Console(file=err, highlight=False, width=None if err.isatty() else LOG_WIDTH)
        _show_own_log(stack, console, verbose)
        yield Terminal(out, console, json, verbose)


def _require_working_folder() -> None:
    """Raise UserError if the working folder was deleted: torch would end the process without a message."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the working folder was deleted; change to another one with cd") from None


def _is_descriptor(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError, AttributeError):
        return False  # a captured stream, in a test or a notebook


def _own(stack: contextlib.ExitStack, stream: TextIO, number: int) -> TextIO:
    """Return a copy of `stream`, so that descriptor `number` can be redirected."""
    if not _is_descriptor(stream, number):
        return stream
    stream.flush()
    # Never closed: libraries that were imported meanwhile (colorama in Ray) write to it at exit.
    own = os.fdopen(os.dup(number), "w", encoding="utf-8", errors="replace", buffering=1)
    stack.callback(own.flush)
    return own


def _point(stack: contextlib.ExitStack, number: int, target: int) -> None:
    """Redirect descriptor `number` to `target` until the stack closes."""
    if not _is_descriptor(sys.stdout if number == 1 else sys.stderr, number):
        return
    kept = os.dup(number)
    os.dup2(target, number)

    def back() -> None:
        os.dup2(kept, number)
        os.close(kept)

    stack.callback(back)


def _chatter_to_log(stack: contextlib.ExitStack) -> None:
    """Redirect the output of libraries to an anonymous file, which a kill can't leave behind.

    If the command fails, the output is copied to a log file whose path is added to the error."""
    if not (_is_descriptor(sys.stdout, 1) or _is_descriptor(sys.stderr, 2)):
        return
    remove_old_logs()
    chatter = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it

    def keep(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        expected = isinstance(error, TuneexpError) and error.exit_code != 1
        if isinstance(error, Exception) and not expected:
            chatter.seek(0)
            _keep(chatter, error)
        return False

    stack.push(keep)
    for number in (1, 2):
        _point(stack, number, chatter.fileno())


def _keep(chatter: IO[bytes], error: Exception) -> None:
    """Copy the relevant lines to a log file, and add its path to the error."""
    lines = [line for line in chatter if _OF_OUR_SETTING not in line]
    if not lines:
        return
    log = new_log()
    try:
        with log:
            log.writelines(lines)
    except OSError as problem:  # a full disk must not hide the error
        Path(log.name).unlink(missing_ok=True)
        error.add_note(f"the output of Ray and other libraries can't be saved: {problem.strerror}")
    else:
        error.add_note(f"output of Ray and other libraries: {log.name}")


def _quiet_python(stack: contextlib.ExitStack) -> None:
    for name in set_missing(_QUIET_ENVIRONMENT):
        stack.callback(os.environ.pop, name, None)
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    for name in _NOISY_LOGGERS:
        logger = logging.getLogger(name)
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL)


def _show_own_log(stack: contextlib.ExitStack, console: Console, verbose: bool) -> None:
    """Show tuneexp's own warnings ("no C++ compiler: training runs eager") as plain lines."""
    handler = _ConsoleHandler(console)
    handler.setLevel(logging.INFO if verbose else logging.WARNING)
    logger = logging.getLogger("tuneexp")
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False

    def back() -> None:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before

    stack.callback(back)


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        print_text(self.console, masked(record.getMessage()))
