"""`tuneexp describe`: the algorithms, every hyperparameter of one, and the options of schedulers and searchers."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneexp.cli import completion
from tuneexp.cli.options import JsonOption, VerboseOption, examples
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.sweep.search.choice import KINDS, meaning_of, option_rows

EPILOG = examples(
    "tuneexp describe",
    "tuneexp describe ppo",
    "tuneexp describe asha",
    "tuneexp describe experiments/custom_loss.py:MyPPO --json",
)


def describe(
    algorithm: Annotated[
        str | None,
        typer.Argument(
            autocompletion=completion.described,
            help="A name or an address (path/file.py:NAME), or a scheduler or searcher; without it, all are listed.",
        ),
    ] = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show every hyperparameter of an algorithm: default, range and meaning. Without a name, list the algorithms.

    Also the options of a scheduler or searcher, such as asha and tpe."""
    with terminal(json, verbose) as screen:
        if algorithm is None:
            _list_algorithms(screen)
        elif (kind := _kind_of(algorithm)) is not None:
            _describe_choice(screen, kind, algorithm)
        else:
            _require_known(algorithm)
            _describe(screen, algorithm)


def _list_algorithms(screen: Terminal) -> None:
    from rich.table import Table

    from tuneexp.algorithms.registry import ALGORITHMS, first_line_of
    from tuneexp.report.formatting import cell

    rows = [{"name": name, "meaning": first_line_of(name)} for name in sorted(ALGORITHMS)]
    if screen.json:
        screen.result({"algorithms": rows})
        return
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for row in rows:
        table.add_row(cell(row["name"], "cyan"), cell(row["meaning"]))
    screen.show(table)
    screen.note("hyperparameters of an algorithm: tuneexp describe NAME")
    for kind, names in KINDS.items():
        screen.note(f"{kind}s of a sweep, with options: {', '.join(names)}")


def _require_known(name: str) -> None:
    """Raise UserError for a name that is no address and nothing that can be described."""
    from tuneexp.algorithms.registry import ALGORITHMS
    from tuneexp.errors import unknown_name

    if ":" not in name and name not in ALGORITHMS:
        known = [*ALGORITHMS, *(one for names in KINDS.values() for one in names)]
        raise unknown_name("algorithm, scheduler or searcher", name, known, "tuneexp describe lists them")


def _kind_of(name: str) -> str | None:
    """Return "scheduler" or "searcher" for the name of one, else None."""
    return next((kind for kind, names in KINDS.items() if name in names), None)


def _describe_choice(screen: Terminal, kind: str, name: str) -> None:
    from rich.table import Table

    from tuneexp.report.formatting import cell
    from tuneexp.report.hyperparameters import as_typed

    rows, meaning = option_rows(kind, name), meaning_of(kind, name)
    if screen.json:
        screen.result({kind: name, "meaning": meaning, "options": rows})
        return
    screen.show_text(f"{name}: {meaning}\n")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for row in rows:
        table.add_row(cell(row["name"], "cyan"), cell(as_typed(row["default"])), cell(row["meaning"]))
    if rows:
        screen.show(table)
        screen.note(f"\nset one with --{kind} {name} --{kind}-option {rows[0]['name']}=VALUE")
    else:
        screen.note("it has no options")


def _describe(screen: Terminal, algorithm: str) -> None:
    from tuneexp.algorithms.registry import config_class_of, first_line_of
    from tuneexp.report.hyperparameters import hyperparameter_rows, hyperparameter_table
    from tuneexp.trial.resource_request import resource_text

    config_class = config_class_of(algorithm)
    rows = hyperparameter_rows(config_class)
    if screen.json:
        screen.result({"algorithm": algorithm, "hyperparameters": rows})
        return
    screen.show_text(f"{algorithm}: {first_line_of(algorithm)}\n")
    screen.show(hyperparameter_table(rows))
    screen.note(f"\n{resource_text(config_class.parse({}, algorithm))}")
    example = next((row for row in rows if row["kind"] == "numeric"), rows[0])["name"]
    screen.note(f"\nfix one with --set {example}=VALUE, or search over it: {_searched(algorithm)}")


def _searched(algorithm: str) -> str:
    from pathlib import Path

    from tuneexp.errors import UserError
    from tuneexp.sweep.search.space.default import default_space

    try:
        space = default_space(algorithm)
    except UserError:
        return "--space FILE (this algorithm has no default space)"
    return f"the default space is {space}" if isinstance(space, str | Path) else "it has a default space"
