"""`tuneexp resume`: continue an interrupted sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tuneexp.cli.confirm import watch_confirmation
from tuneexp.cli.exit_codes import checks_only, stoppable
from tuneexp.cli.option_values import moved_addresses
from tuneexp.cli.options import (
    DEFAULT_STORAGE,
    WHERE,
    AddressOption,
    JsonOption,
    MovedOption,
    StorageOption,
    TrustOption,
    VerboseOption,
    examples,
)
from tuneexp.cli.show import NameArgument
from tuneexp.cli.sweep_view import watch_on
from tuneexp.cli.terminal import terminal
from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.report.formatting import short_path

if TYPE_CHECKING:
    from tuneexp.sweep import SweepResult

EPILOG = examples(
    "tuneexp resume first",
    "tuneexp resume runs/first",
    "tuneexp resume first --storage /data/runs --json",
    "tuneexp resume first --failed",
)


def resume(
    ctx: typer.Context,
    name: NameArgument,
    storage: StorageOption = DEFAULT_STORAGE,
    address: AddressOption = None,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="Also continue failed trials from their last checkpoints."),
    ] = False,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            "--checkpoints",
            metavar="FOLDER or URI",
            help="New folder or URI of the sweep's checkpoints, if they have moved.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    moved: MovedOption = None,
    trust: TrustOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Continue a sweep that was interrupted or killed. Finished trials stay as they are."""
    with terminal(json, verbose) as screen, stoppable() as stop:
        stop.starting()
        from tuneexp.report.stored_leaderboard import varied_names
        from tuneexp.sweep.confirming.confirm import is_followed, ray_of_what_follows, to_continue
        from tuneexp.sweep.resuming import Running, folder_of, resume_sweep
        from tuneexp.sweep.storage.snapshot import check_signatures
        from tuneexp.sweep.sweep_config import load_config, relocated_config

        places = moved_addresses(moved or ())
        config = relocated_config(load_config(name, storage), places)
        if checks_only(ctx):
            return
        stored, folder = _stored(name, storage), folder_of(name, storage)
        follows, ended = is_followed(folder), stored is not None and _has_ended(stored, failed)
        if ended and not trust:
            check_signatures(folder, trust)  # refused before anything is printed
        running = Running([], verbose, address, trust, failed, places)
        with ray_of_what_follows(folder, running):
            result = watch_on(
                screen,
                config,
                varied_names(config),
                lambda on_event: resume_sweep(folder, running, on_event, checkpoints),
                f"sweep {config.name} is finished, nothing is left to train" if ended else None,
                stored.trials if stored is not None else (),
                is_last=not follows,
            )
            if follows and (confirmation := to_continue(folder)) is not None:
                watch_confirmation(screen, confirmation, running)
            elif follows and screen.json:
                screen.result(result.as_json())
        if ended and not follows:
            more = command("extend", result.name, "--trials", "N", storage=short_path(result.storage))
            screen.note(f"to add N trials: {more}")


def _stored(name: str, storage: str) -> SweepResult | None:
    """Return the stored sweep; None for a damaged one, which the resume repairs or refuses."""
    from tuneexp.sweep import load_sweep

    try:
        return load_sweep(name, storage)
    except UserError:
        return None


def _has_ended(stored: SweepResult, failed: bool) -> bool:
    """Return True if a resume trains nothing."""
    from tuneexp.tracking.outcome import FAILURES

    return stored.state == "finished" and not (failed and any(one.outcome in FAILURES for one in stored.trials))
