"""Assembly of the commands. torch, Ray and MLflow are not imported here, so that `tuneexp --help` is fast."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneexp.cli import (
    confirm,
    dashboard,
    describe,
    doctor,
    evaluate,
    export,
    extend,
    init,
    report,
    resume,
    show,
    sweep,
    train,
    tune,
    ui,
    watch,
)
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
app.command("tune", epilog=tune.EPILOG, rich_help_panel=_WORK)(tune.tune)
app.command("sweep", epilog=sweep.EPILOG, rich_help_panel=_WORK)(sweep.sweep)
app.command("resume", epilog=resume.EPILOG, rich_help_panel=_WORK)(resume.resume)
app.command("extend", epilog=extend.EPILOG, rich_help_panel=_WORK)(extend.extend)
app.command("confirm", epilog=confirm.EPILOG, rich_help_panel=_WORK)(confirm.confirm)
app.command("evaluate", epilog=evaluate.EPILOG, rich_help_panel=_WORK)(evaluate.evaluate)
app.command("watch", epilog=watch.EPILOG, rich_help_panel=_WORK)(watch.watch)
app.command("export", epilog=export.EPILOG, rich_help_panel=_WORK)(export.export)
app.command("init", epilog=init.EPILOG, rich_help_panel=_WORK)(init.init)
app.command("list", epilog=show.LIST_EPILOG, rich_help_panel=_LOOK)(show.list_)
app.command("show", epilog=show.SHOW_EPILOG, rich_help_panel=_LOOK)(show.show)
app.command("report", epilog=report.EPILOG, rich_help_panel=_LOOK)(report.report)
app.command("describe", epilog=describe.EPILOG, rich_help_panel=_LOOK)(describe.describe)
app.command("dashboard", epilog=dashboard.EPILOG, rich_help_panel=_LOOK)(dashboard.dashboard)
app.command("doctor", epilog=doctor.EPILOG, rich_help_panel=_LOOK)(doctor.doctor)
app.command("ui", epilog=ui.EPILOG, rich_help_panel=_LOOK)(ui.ui)
