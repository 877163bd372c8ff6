"""Exit codes and error messages of the command line: every exception ends as one or two lines."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from tuneexp.errors import TuneexpError, nearest, shortened
from tuneexp.files.retries import FULL
from tuneexp.report.formatting import visible
from tuneexp.security.masking import masked
from tuneexp.sweep.process_exit import end_process, until_the_process_ends
from tuneexp.sweep.signals import Stop, refuse_unsignalled, stop_signals

# What a context of typer holds where a command ends after its checks.
CHECKS_ONLY = "checks only"
DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
WRITE, _OURS = "write: ", "tuneexp: "
SWAPPED = "the algorithm comes first"
# Commands that look at `checks_only`.
_CHECK_FIRST = ("train", "sweep", "resume", "evaluate", "show")


def run_and_exit(app_run: Callable[[], int]) -> NoReturn:
    """Run a command as the only work of this process, and end the process with its exit code."""
    with until_the_process_ends():
        code = app_run()
        end_process(code)


def run_app(app: typer.Typer, args: Sequence[str], prog_name: str, correct: bool = False) -> int:
    """Run one command line of `app` and return its exit code. Only KeyboardInterrupt and SystemExit can be raised.

    correct: for a refused line, print the nearest line that is accepted."""
    _open_closed_streams()
    return _run(typer.main.get_command(app), args, prog_name, correct)


def checks_only(ctx: typer.Context) -> bool:
    """Return True if the command is to end after its checks."""
    return ctx.obj == CHECKS_ONLY


def _run(command: Any, args: Sequence[str], prog_name: str, correct: bool = False, obj: str | None = None) -> int:
    try:
        code = command.main(args=list(args), prog_name=prog_name, standalone_mode=False, obj=obj)
        sys.stdout.flush()
    except TuneexpError as error:
        instead = _line_instead(command, args) if correct and error.exit_code == BAD_INPUT else None
        lines = _advice(instead) or _notes(error)
        return _print_error("\n".join([str(error), *lines]), error.exit_code)
    except typer.TyperException as error:
        instead = _line_instead(command, args) if correct else None
        return (
            _print_error("\n".join(filter(None, instead)), BAD_INPUT) if instead else _usage_error(error, command, args)
        )
    except (KeyboardInterrupt, typer.Abort):
        return _print_error("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return _drop_output()
    except OSError as error:  # of the machine, not of this program: a full disk, say
        _drop_output()
        where = f": {error.filename}" if error.filename else ""
        if error.errno in FULL:
            error.add_note("free space there")
        return _failed(error, args, f"{error.strerror or error}{where}")
    except Exception as error:
        return _internal_error(error, args)
    return code if isinstance(code, int) else DONE


@contextmanager
def stoppable(saves: bool = True) -> Iterator[Stop]:
    """End a command in order at Ctrl-C, SIGTERM or SIGHUP, with the exit code of the signal.

    saves: False for a command that has nothing to save."""
    with stop_signals() as stop:
        stop.saves = saves
        try:
            yield stop
        except KeyboardInterrupt as error:
            refuse_unsignalled(stop, error)
            raise typer.Exit(stop.exit_code) from None


def _print_error(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # standard error is full or closed
        typer.echo(visible(f"{_OURS}{masked(message)}"), err=True)
    return code


def _line_instead(command: Any, args: Sequence[str]) -> tuple[str, str] | None:
    """Return why the line is a near miss, and `write: LINE`, the refusal of that line, or ""."""
    from tuneexp.cli.corrections import correction_of

    if (miss := correction_of(command, args)) is None:
        return None
    why, new = miss
    return why, (refusal_of(command, new) or f"{WRITE}{shlex.join(['tuneexp', *new])}") if new else ""


def refusal_of(command: Any, args: Sequence[str]) -> str | None:
    """Return the first line of the refusal of these arguments, or None. Nothing is started."""
    if args[0] not in _CHECK_FIRST:
        return None
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = _run(command, args, "tuneexp", obj=CHECKS_ONLY)
    lines = said.getvalue().splitlines()
    # Earlier notes are already printed.
    return next((line.removeprefix(_OURS) for line in lines if line.startswith(_OURS)), "") if code else None


def _advice(instead: tuple[str, str] | None) -> list[str]:
    """Return the line to write instead, or for swapped arguments what is wrong with that line."""
    if instead is None:
        return []
    reason, line = instead
    if line.startswith(WRITE):
        return [line]
    return [f"{reason}; {line}"] if reason == SWAPPED and line else []


def _usage_error(error: typer.TyperException, group: Any, args: Sequence[str]) -> int:
    """Print an error of typer (an unknown option, a missing argument) with the nearest name and the help to read."""
    kind, context = type(error).__name__, getattr(error, "ctx", None)
    if kind == "NoArgsIsHelpError":  # `tuneexp` alone: its help was already printed
        return BAD_INPUT
    message = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    if kind == "NoSuchOption" and context is not None:
        options = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
        message = _unknown("option", getattr(error, "option_name", ""), [*options, "--help"])
    elif message.startswith("No such command") and context is not None:
        message = _unknown("command", message.split("'")[1], context.command.commands)
    words = context.command_path.split() if context is not None else ["tuneexp"]
    if len(words) == 1 and args and args[0] in getattr(group, "commands", {}):
        words.append(args[0])  # typer names no command if the value of an option is missing
    see = f"{' '.join(words)} --help"
    return _print_error(f"{message[:1].lower()}{message[1:]} (see {see})", BAD_INPUT)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    # Without the dashes, which every option shares and which would make all of them look alike.
    bare = {option.lstrip("-"): option for option in known}
    match = nearest(name.lstrip("-"), bare)
    return f"unknown {kind} {shortened(name)}; " + (
        f"did you mean {bare[match]!r}?" if match else f"known: {', '.join(bare.values())}"
    )


def _open_closed_streams() -> None:
    """Open closed standard streams (`tuneexp ... >&-`) on the null device. Else the next file that is opened would
    become standard output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _drop_output() -> int:
    """Discard standard output after a closed pipe (`tuneexp list | head -1`) or on a full disk, so that the shutdown of
    Python prints no error."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return FAILED
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return FAILED


def _internal_error(error: Exception, args: Sequence[str]) -> int:
    line = " ".join(str(error).split())
    return _failed(error, args, f"internal error: {type(error).__name__}: {line[:300]}")


def _failed(error: Exception, args: Sequence[str], message: str) -> int:
    if {"-v", "--verbose"} & set(args):
        typer.echo(visible("".join(traceback.format_exception(error)).rstrip()), err=True)
        return FAILED
    advice = "; ".join([*_notes(error), "run it again with -v to see where it came from"])
    return _print_error(f"{message}\n{advice}", FAILED)


def _notes(error: Exception) -> list[str]:
    return getattr(error, "__notes__", [])
