"""`tuneexp confirm`: train the best configurations of a sweep again, on seeds that tuning never used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tuneexp.cli.exit_codes import checks_only, stoppable
from tuneexp.cli.option_values import confirm_seeds, positive
from tuneexp.cli.options import (
    DEFAULT_STORAGE,
    HOW,
    SEARCH,
    AddressOption,
    JsonOption,
    StorageOption,
    TrustOption,
    VerboseOption,
    count,
    examples,
)
from tuneexp.cli.show import NameArgument
from tuneexp.cli.sweep_view import live_view
from tuneexp.cli.terminal import Terminal, terminal

if TYPE_CHECKING:
    from tuneexp.sweep.confirming.confirmation import Confirmation
    from tuneexp.sweep.resuming import Running
    from tuneexp.sweep.storage.folder import SweepFolder

EPILOG = examples(
    "tuneexp confirm first",
    "tuneexp confirm first --top 5 --seeds 20",
    "tuneexp confirm first --seeds 100,101,102,103,104 --random-search",
)


def confirm(
    ctx: typer.Context,
    name: NameArgument,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            parser=count,
            metavar="N",
            rich_help_panel=SEARCH,
            help="Number of the best configurations; by default 3, or fewer if fewer trials have completed.",
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds",
            metavar="N or A,B,...",
            rich_help_panel=HOW,
            help="Number of unseen seeds, which begin after the last one of the sweep, or a list.",
        ),
    ] = "10",
    random_search: Annotated[
        bool,
        typer.Option(
            "--random-search",
            metavar="",
            rich_help_panel=SEARCH,
            help="Also run a random search with the budget of the sweep, and confirm its best configuration.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", metavar="", rich_help_panel=HOW, help="Allow seeds that tuning used.")
    ] = False,
    storage: StorageOption = DEFAULT_STORAGE,
    address: AddressOption = None,
    trust: TrustOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train the best configurations and the defaults again on seeds that tuning never used, and compare them.

    After a kill, resume continues."""
    if top is not None:
        positive("--top", top)
    asked = confirm_seeds(seeds)
    with terminal(json, verbose) as screen, stoppable() as stop:
        stop.starting()
        from tuneexp.sweep.confirming.confirm import folder_for, prepare
        from tuneexp.sweep.resuming import Running

        running = Running([], verbose, address, trust)
        sweep, request = prepare(name, storage, top, asked, random_search, force, running)
        stop.check()
        if checks_only(ctx):
            return
        watch_confirmation(screen, folder_for(sweep, request), running)


def watch_confirmation(screen: Terminal, folder: SweepFolder, running: Running) -> Confirmation:
    """Run what is left of a confirmation with a live view, then print its result."""
    from tuneexp.sweep import SearchSpace
    from tuneexp.sweep.confirming.confirm import stages
    from tuneexp.sweep.confirming.confirmation import confirmation_of

    with stages(folder, running) as found:
        for stage in found:
            names = SearchSpace.of(stage.config.space).names or None
            live_view(screen, stage.config, names, stage.run, stage.title, stage.known())
    result = confirmation_of(folder)
    show_confirmation(screen, result)
    return result


def show_confirmation(screen: Terminal, found: Confirmation) -> None:
    """Print the result of a confirmation."""
    from tuneexp.report.confirmation import confirmation_table, confirmation_text

    if screen.json:
        screen.result(found.as_json())
        return
    screen.show(confirmation_table(found))
    screen.show_text("\n" + confirmation_text(found))
