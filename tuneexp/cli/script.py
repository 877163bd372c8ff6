"""Live leaderboard, quiet terminal and error messages of the command line, for scripts of users."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from tuneexp.cli.exit_codes import run_and_exit, run_app
from tuneexp.cli.options import count
from tuneexp.cli.sweep_view import title_with_plan, watch_on
from tuneexp.cli.terminal import terminal
from tuneexp.sweep.signals import stop_signals

if TYPE_CHECKING:
    from tuneexp.sweep import Sweep, SweepResult


def watch(sweep: Sweep) -> SweepResult:
    """Run a sweep with a live table on a terminal, or a line for each trial in a log.

    The leaderboard is printed at the end.

    Args:
        sweep: A sweep that has not run yet.

    Returns:
        The result.

    Raises:
        TuneexpError: No trial finished.
        SweepInterrupted: Ctrl-C, SIGTERM or SIGHUP ended the sweep; its state is saved.
    """
    with terminal(verbose=sweep.verbose) as screen, stop_signals():
        return watch_on(screen, sweep.resolved, sweep.space.names or None, sweep.run, title_with_plan(screen, sweep))


def run_script(main: Callable[..., Any]) -> None:
    """Run a function as a program: its typed arguments become options, its docstring the text of `--help`.

    Errors are printed in one or two lines, without a traceback, and set the exit code. Whole numbers may be written 1e5
    or 100k.

    Args:
        main: Function with typed arguments.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command()(_with_counts(main))
    run_and_exit(lambda: run_app(app, sys.argv[1:], Path(sys.argv[0]).name))


def _with_counts(main: Callable[..., Any]) -> Callable[..., Any]:
    """Return `main` with integers that may be written 1e5 and 100k on the command line."""

    def counting(*args: Any, **kwargs: Any) -> Any:
        return main(*args, **kwargs)

    signature, hints = inspect.signature(main), get_type_hints(main, include_extras=True)
    parsed = [_parsed(one, hints.get(name, one.annotation)) for name, one in signature.parameters.items()]
    counting.__name__, counting.__doc__ = getattr(main, "__name__", "main"), main.__doc__
    counting.__signature__ = signature.replace(parameters=parsed)  # type: ignore[attr-defined]
    counting.__annotations__ = {one.name: one.annotation for one in parsed}
    return counting


def _parsed(one: inspect.Parameter, hint: Any) -> inspect.Parameter:
    if hint not in (int, int | None):
        return one.replace(annotation=hint)
    kind = typer.Argument if one.default is one.empty else typer.Option
    return one.replace(annotation=Annotated[hint, kind(parser=count)])
