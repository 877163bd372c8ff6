"""`tuneexp describe`: the algorithms, and every hyperparameter of one."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from tuneexp.cli.options import JsonOption, VerboseOption, examples
from tuneexp.cli.terminal import Terminal, terminal

EPILOG = examples(
    "tuneexp describe", "tuneexp describe ppo", "tuneexp describe experiments/custom_loss.py:MyPPO --json"
)


def describe(
    algorithm: Annotated[
        str | None,
        typer.Argument(help="A name or an address (path/file.py:NAME); without it, the algorithms are listed."),
    ] = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show every hyperparameter of an algorithm: default, range and meaning. Without a name, list the algorithms."""
    with terminal(json, verbose) as screen:
        if algorithm is None:
            _list_algorithms(screen)
        else:
            _describe(screen, algorithm)


def _list_algorithms(screen: Terminal) -> None:
    from rich.table import Table

    from tuneexp.algorithms.registry import ALGORITHMS, load_spec
    from tuneexp.report.text import cell

    rows = [{"name": name, "meaning": _first_line(load_spec(name))} for name in sorted(ALGORITHMS)]
    if screen.json:
        screen.result({"algorithms": rows})
        return
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for row in rows:
        table.add_row(cell(row["name"], "cyan"), cell(row["meaning"]))
    screen.show(table)
    screen.note("every hyperparameter of one: tuneexp describe NAME")


def _first_line(spec: Any) -> str:
    """What the algorithm is: the first line of the file that defines its configuration."""
    module = inspect.getmodule(spec.config_class)
    return (getattr(module, "__doc__", None) or "").strip().partition("\n")[0]


def _describe(screen: Terminal, algorithm: str) -> None:
    from tuneexp.algorithms.registry import load_spec
    from tuneexp.report.hyperparameters import hyperparameter_rows, hyperparameter_table
    from tuneexp.trial.resources import told

    spec = load_spec(algorithm)
    rows = hyperparameter_rows(spec.config_class)
    if screen.json:
        screen.result({"algorithm": algorithm, "hyperparameters": rows})
        return
    screen.show_text(f"{spec.name}: {_first_line(spec)}\n")
    screen.show(hyperparameter_table(rows))
    screen.note(f"\n{told(spec.config_class.parse({}, spec.name))}")
    example = next((row for row in rows if row["kind"] == "numeric"), rows[0])["name"]
    screen.note(f"\nfix one with --set {example}=VALUE; or let a space vary it, as search_spaces/ppo.yaml does")
