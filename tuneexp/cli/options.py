"""Options that several commands share and that are no settings of a trial or a sweep (cli/settings.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneexp.cli import completion
from tuneexp.cli.option_values import GROUPS
from tuneexp.sweep import defaults
from tuneexp.sweep.sweep_config import SweepConfig

# Panels of --help.
WHAT, SEARCH, HOW, WHERE, OUTPUT = "Problem", "Search", "Training", "Resources and storage", "Output"

AlgorithmArgument = Annotated[
    str | None,
    typer.Argument(
        help="Name (see tuneexp describe) or address: module:NAME, path/file.py:NAME.",
        autocompletion=completion.algorithms,
    ),
]
EnvArgument = Annotated[
    str | None,
    typer.Argument(help="Gymnasium id (CartPole-v1) or address: module:Class.", autocompletion=completion.environments),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help=SweepConfig.model_fields["name"].description, rich_help_panel=WHAT)
]
SpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="FILE",
        help="Search space: a YAML file, or path/file.py:FUNCTION. Default: that of the algorithm "
        "(tuneexp describe NAME).",
        rich_help_panel=WHAT,
    ),
]
StorageOption = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="TUNEEXP_STORAGE",
        metavar="FOLDER",
        rich_help_panel=WHERE,
        help="Folder of sweeps, checkpoints and the MLflow store.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar="",
        rich_help_panel=OUTPUT,
        help="Print one JSON object on standard output; everything else goes to standard error.",
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        metavar="",
        rich_help_panel=OUTPUT,
        help="Show the output of Ray, MLflow and Optuna, and tracebacks of internal errors.",
    ),
]
SeedsOption = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="N or A,B,...",
        rich_help_panel=HOW,
        help="Training seeds: a number N for 0 to N-1, or a list such as 3,5,8; by default 1 (train) or 4 (sweep).",
    ),
]
ScheduleOption = Annotated[
    Path | None,
    typer.Option(
        "--schedule",
        metavar="FILE",
        rich_help_panel=WHAT,
        help="Train with hyperparameters that change at given environment steps, as tuneexp export --to schedule "
        "writes them. --seeds N are then N seeds that the sweep was not tuned on.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        rich_help_panel=WHAT,
        help="Set a hyperparameter; nested names with a slash (model/activation=relu). Also the keys of "
        f"{', '.join(GROUPS)}, such as evaluation/episodes=10. Repeatable. Names: tuneexp describe ALGORITHM.",
    ),
]
SchedulerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scheduler-option",
        metavar="NAME=VALUE",
        rich_help_panel=SEARCH,
        help="Option of the scheduler, such as reduction_factor=4. Repeatable. Names: tuneexp describe asha.",
    ),
]
SearcherOption = Annotated[
    list[str] | None,
    typer.Option(
        "--searcher-option",
        metavar="NAME=VALUE",
        rich_help_panel=SEARCH,
        help="Option of the searcher. Repeatable. Names: tuneexp describe tpe.",
    ),
]
ObjectiveOption = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        metavar="METRIC or METRIC:min",
        rich_help_panel=SEARCH,
        help="Metric to optimize: return_mean, wall_s:min, env_steps_to/475, ... Repeatable: several objectives have "
        "a Pareto front. By default the objective of the trials.",
    ),
]
ConstraintOption = Annotated[
    list[str] | None,
    typer.Option(
        "--constraint",
        metavar="METRIC<=NUMBER",
        rich_help_panel=SEARCH,
        help="Bound on a metric of a trial's last report, '<=' or '>=': \"wall_s<=600\". Repeatable.",
    ),
]
ZooOption = Annotated[
    str | None,
    typer.Option(
        "--zoo",
        metavar="FILE",
        rich_help_panel=WHAT,
        help="Take the hyperparameters, budget and wrappers from the environment's row of an RL Zoo file (ppo.yml); "
        "FILE:ROW takes another row. Other options override them.",
    ),
]
WrapperOption = Annotated[
    list[str] | None,
    typer.Option(
        "--wrapper",
        metavar="NAME or NAME={JSON}",
        rich_help_panel=WHAT,
        help="Wrapper of each environment, the innermost first: ClipAction, ActionMask, "
        "'FrameStackObservation={\"stack_size\": 4}', module:Class. Repeatable.",
    ),
]
MovedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--moved",
        metavar="OLD=NEW",
        rich_help_panel=WHAT,
        help="New location of one of your files, folders or modules that has moved. Repeatable.",
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        metavar="",
        rich_help_panel=WHAT,
        help="Trust the code that stored files name: run it, and add it to the list of trusted addresses.",
    ),
]
CheckpointArgument = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        autocompletion=completion.checkpoints,
        help="Address of a checkpoint: NAME (the best trial of a sweep, or a training), NAME/3 (trial 3), a folder, "
        "s3://bucket/folder, or in MLflow runs:/RUN_ID, runs:/RUN_ID/NAME, models:/NAME@ALIAS, models:/NAME/VERSION.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Address of a Ray cluster, or auto for the one of this node; by default the address at the start.",
        rich_help_panel=WHERE,
    ),
]

DEFAULT_STORAGE = defaults.STORAGE


def count(value: str | int) -> int:
    """Parse a count: 100000, 100_000, 1e5 and 100k are the same."""
    from tuneexp.config import whole_number

    return whole_number(str(value))


def seconds(value: str | float) -> float:
    """Parse a duration: 5400, 5400s, 90m and 1h30m are the same."""
    from tuneexp.config import seconds_of

    return seconds_of(str(value))


def size(value: str | int) -> int:
    """Parse a size: 2000000000, 2GB and 2000 MB are the same."""
    from tuneexp.files.sizes import bytes_of

    return bytes_of(str(value))


def examples(*lines: str) -> str:
    """Return the epilog of a command."""
    return "\n".join(["[bold]Examples[/bold]", *(line.replace("[", r"\[") for line in lines)])


def one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`, else raise UserError with the nearest one."""
    if value not in choices:
        from tuneexp.errors import unknown_name

        raise unknown_name(f"value for {option}", value, choices)
    return value
