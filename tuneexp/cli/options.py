"""Options that several commands share, each described once."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneexp.sweep import defaults

# Panels of --help, in the order in which a person decides.
WHAT, HOW, WHERE, OUTPUT = "What", "How", "Where", "Output"

StorageOption = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="TUNEEXP_STORAGE",
        metavar="FOLDER",
        rich_help_panel=WHERE,
        help="Where sweeps, checkpoints and the MLflow store are kept.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar="",
        rich_help_panel=OUTPUT,
        help="Print exactly one JSON object on standard output; everything else goes to standard error.",
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        metavar="",
        rich_help_panel=OUTPUT,
        help="Let Ray, MLflow and Optuna speak too, and show tracebacks of internal errors.",
    ),
]
SeedsOption = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="N or A,B,...",
        rich_help_panel=HOW,
        help="N trains seeds 0 to N-1 together, 3,5,8 names them; train: 1, sweep: 4 by default.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        rich_help_panel=WHAT,
        help="Fix a hyperparameter; may be repeated; nested names with a slash (model/activation=relu). "
        "Names: tuneexp describe ALGORITHM.",
    ),
]
ZooOption = Annotated[
    str | None,
    typer.Option(
        "--zoo",
        metavar="FILE",
        rich_help_panel=WHAT,
        help="Take the environment's row of a file of RL Zoo's (ppo.yml), with its steps and wrappers; FILE:ROW takes "
        "that row. --env-steps, --set and --wrapper change it.",
    ),
]
WrapperOption = Annotated[
    list[str] | None,
    typer.Option(
        "--wrapper",
        metavar="NAME or NAME={JSON}",
        rich_help_panel=WHAT,
        help="Wrap each environment; may be repeated, applied in this order: ClipAction, ActionMask, "
        "'FrameStackObservation={\"stack_size\": 4}', module:Class.",
    ),
]
EnvBackendOption = Annotated[
    str | None,
    typer.Option(
        "--env-backend",
        metavar="auto|sync|async|native|envpool",
        rich_help_panel=HOW,
        help="What steps the environments: auto takes the id's own vector environment where it has one, else sync.",
    ),
]
MovedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--moved",
        metavar="OLD=NEW",
        rich_help_panel=WHAT,
        help="A file, folder or address of your own that is another one now; may be repeated.",
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        metavar="",
        rich_help_panel=WHAT,
        help="Run the code that the stored files name, whoever wrote them, and remember it as trusted.",
    ),
]
CompileOption = Annotated[
    str,
    typer.Option(
        "--compile",
        metavar="auto|on|off",
        rich_help_panel=HOW,
        help="Compile the gradient step: auto does where the number of updates repays it.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="A Ray cluster to run on, auto for the one of this node; by default RAY_ADDRESS, else this machine "
        "(a resume: where the sweep began).",
        rich_help_panel=WHERE,
    ),
]

DEFAULT_STORAGE = defaults.STORAGE
COMPILE_CHOICES = ("auto", "on", "off")


def count(value: str | int) -> int:
    """Parser of the options that are numbers of things: 100000, 100_000, 1e5 and 100k are the same."""
    from tuneexp.config import whole_number

    return whole_number(str(value))


def examples(*lines: str) -> str:
    """The epilog of a command."""
    return "\n".join(["[bold]Examples[/bold]", *(line.replace("[", r"\[") for line in lines)])


def one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    """`value` where it is one of `choices`; else UserError with the nearest."""
    if value not in choices:
        from tuneexp.errors import unknown_name

        raise unknown_name(f"value for {option}", value, choices)
    return value
