"""Assembly of the commands. torch, Ray and MLflow are not imported here, so that `tuneexp --help` is fast."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneexp.cli import describe, evaluate, extend, resume, show, sweep, train, ui
from tuneexp.cli.options import examples

app = typer.Typer(
    name="tuneexp",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "tuneexp train ppo CartPole-v1 --seeds 4",
        "tuneexp sweep ppo CartPole-v1 --trials 8 --name first",
        "tuneexp show first",
        "tuneexp ui",
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tuneexp import __version__

        typer.echo(f"tuneexp {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tune reinforcement-learning algorithms: every trial trains several seeds at once, every sweep can be resumed."""


_WORK, _LOOK = "Train and evaluate", "Inspect"
app.command("train", epilog=train.EPILOG, rich_help_panel=_WORK)(train.train)
app.command("sweep", epilog=sweep.EPILOG, rich_help_panel=_WORK)(sweep.sweep)
app.command("resume", epilog=resume.EPILOG, rich_help_panel=_WORK)(resume.resume)
app.command("extend", epilog=extend.EPILOG, rich_help_panel=_WORK)(extend.extend)
app.command("evaluate", epilog=evaluate.EPILOG, rich_help_panel=_WORK)(evaluate.evaluate)
app.command("list", epilog=show.LIST_EPILOG, rich_help_panel=_LOOK)(show.list_)
app.command("show", epilog=show.SHOW_EPILOG, rich_help_panel=_LOOK)(show.show)
app.command("describe", epilog=describe.EPILOG, rich_help_panel=_LOOK)(describe.describe)
app.command("ui", epilog=ui.EPILOG, rich_help_panel=_LOOK)(ui.ui)
