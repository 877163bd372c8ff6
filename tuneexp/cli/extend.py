"""`tuneexp extend`: run a sweep further than it was asked to."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneexp.cli.exit_codes import checks_only, stoppable
from tuneexp.cli.option_values import positive
from tuneexp.cli.options import (
    DEFAULT_STORAGE,
    SEARCH,
    WHAT,
    AddressOption,
    JsonOption,
    StorageOption,
    TrustOption,
    VerboseOption,
    count,
    examples,
    seconds,
)
from tuneexp.cli.show import NameArgument
from tuneexp.cli.sweep_view import watch_on
from tuneexp.cli.terminal import terminal

EPILOG = examples(
    "tuneexp extend first --trials 8",
    "tuneexp extend first --time-budget 1h --until none",
    "tuneexp extend first --trials 16 --space wider.yaml",
)


def extend(
    ctx: typer.Context,
    name: NameArgument,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", parser=count, metavar="N", rich_help_panel=SEARCH, help="Number of trials to add: N more."
        ),
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(
            "--time-budget", parser=seconds, metavar="DURATION", rich_help_panel=SEARCH, help="Time to add, such as 1h."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="NUMBER or none",
            rich_help_panel=SEARCH,
            help="New objective that ends the sweep; none removes this rule.",
        ),
    ] = None,
    stagnation: Annotated[
        str | None,
        typer.Option(
            "--stagnation",
            metavar="N or none",
            rich_help_panel=SEARCH,
            help="New number of trials in a row without a better one that ends the sweep; none removes this rule.",
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            metavar="FILE",
            rich_help_panel=WHAT,
            help="Search space with other bounds of ranges, for the searchers tpe and random.",
        ),
    ] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    address: AddressOption = None,
    trust: TrustOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Add trials or time to a sweep that has ended. After a kill, resume continues to the new end."""
    if trials is not None:
        positive("--trials", trials)
    with terminal(json, verbose) as screen, stoppable() as stop:
        stop.starting()
        from tuneexp.report.stored_leaderboard import varied_names
        from tuneexp.sweep import extend as extend_sweep
        from tuneexp.sweep import load_sweep
        from tuneexp.sweep.extending import extended_config, refuse_running
        from tuneexp.sweep.extension import Extension, from_text
        from tuneexp.sweep.storage.folder import stored_folder

        goal, patience = from_text("--until", until, float), from_text("--stagnation", stagnation, count)
        folder = stored_folder(name, storage)
        refuse_running(folder)
        longer = extended_config(folder, Extension(trials, time_budget, goal, patience, space))
        if checks_only(ctx):
            return
        watch_on(
            screen,
            longer,
            varied_names(longer),
            lambda on_event: extend_sweep(
                name,
                storage,
                trials,
                time_budget_s=time_budget,
                until=goal,
                stagnation=patience,
                space=space,
                on_event=on_event,
                verbose=verbose,
                address=address,
                trust=trust,
            ),
            known=load_sweep(name, storage).trials,
        )
